/**
 * Live streams. They are open only while the page is seen, since a browser has six connections to a server for
 * all of its tabs, and go on after the last event that was heard. `EventSource` resumes by itself when it is cut;
 * only when the server refused it for good it is opened anew here, after a growing delay.
 */

import { ENDED, request } from "./api.js";
import { ROOT } from "./dom.js";

const DELAYS = [1000, 2000, 5000, 10000];
const QUIET_MS = 250;
/** Changes without an event, like the age of a row, are shown by then. */
const POLL_MS = 5000;

const FLEET_EVENTS = [
  "accepted", "phase", "done", "registered", "ready", "failed", "deleted", "discovered", "changed", "gone", "added",
  "forgotten", "found",
  "reset",
];
const JOB_EVENTS = ["accepted", "phase", "step", "log", "progress", "item", "done", "reset"];

/** @typedef {"connecting" | "live" | "lost" | "ended"} StreamState */

/**
 * Keep a stream open until the signal, whenever the page is seen.
 *
 * @param {(lastId: string) => string} address the stream of the events after an id; before the first it is ""
 * @param {string[]} names
 * @param {(name: string, content: any) => void} receive
 * @param {{signal: AbortSignal, onState?: (state: StreamState) => void, refused: (failures: number) => Promise<void>}}
 *   options `refused` is awaited before the stream is opened anew
 */
function stream(address, names, receive, { signal, onState = () => {}, refused }) {
  let failures = 0;
  let lastId = "";
  let timer = 0;
  /** @type {EventSource | null} */
  let source = null;
  const close = () => {
    source?.close();
    clearTimeout(timer);
  };
  const open = () => {
    close();
    if (signal.aborted || document.hidden) {
      return;
    }
    const opened = new EventSource(`${ROOT}${address(lastId).slice(1)}`);
    source = opened;
    opened.addEventListener("open", () => {
      failures = 0;
      onState("live");
    });
    opened.addEventListener("error", () => {
      onState("lost");
      if (opened.readyState === EventSource.CLOSED && source === opened) {
        again();
      }
    });
    for (const name of names) {
      opened.addEventListener(name, (event) => {
        lastId = event.lastEventId;
        receive(name, parse(event.data));
      });
    }
  };
  const again = () => {
    const delay = DELAYS[Math.min(failures, DELAYS.length - 1)];
    failures += 1;
    timer = window.setTimeout(async () => {
      await refused(failures).catch(() => {});
      open();
    }, delay);
  };
  document.addEventListener("visibilitychange", open, { signal });
  document.addEventListener("signed-in", open, { signal });
  signal.addEventListener("abort", close);
  onState("connecting");
  open();
}

/**
 * @param {string} text
 * @returns {any}
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/**
 * Call `changed` soon after anything changed in the fleet, when the page is seen again, and now and then in case
 * an event was missed.
 *
 * @param {() => void} changed
 * @param {{signal: AbortSignal, onState?: (state: StreamState) => void}} options
 */
export function followFleet(changed, { signal, onState }) {
  let timer = 0;
  const soon = () => {
    // Events that never stop must not put it off for ever.
    timer ||= window.setTimeout(() => {
      timer = 0;
      changed();
    }, QUIET_MS);
  };
  const poll = setInterval(() => document.hidden || changed(), POLL_MS);
  document.addEventListener("visibilitychange", () => document.hidden || soon(), { signal });
  document.addEventListener("signed-in", soon, { signal });
  document.addEventListener("back", soon, { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    clearInterval(poll);
  });
  // What was missed meanwhile is read as it is now. A refused stream doesn't say why; a plain request, which
  // `changed` makes, notices a lost session.
  stream(() => "/api/v1/events", FLEET_EVENTS, soon, { signal, onState, refused: async () => soon() });
}

/**
 * Follow a job's log; it is closed after `done`. A `reset` means that the log starts anew. Of a job whose
 * log is not stored any more, only the end is shown.
 *
 * @param {string} job
 * @param {(name: string, content: any) => void} receive
 * @param {{signal: AbortSignal, onState?: (state: StreamState) => void}} options
 */
export function followJob(job, receive, { signal, onState = () => {} }) {
  const path = `/api/v1/jobs/${encodeURIComponent(job)}`;
  const ended = new AbortController();
  signal.addEventListener("abort", () => ended.abort());
  const onEvent = (/** @type {string} */ name, /** @type {any} */ content) => {
    if (name === "done") {
      ended.abort();
      onState("ended");
    }
    receive(name, content);
  };
  const refused = async (/** @type {number} */ failures) => {
    const row = await request("GET", path, { signal: ended.signal });
    if (failures > 1 && ENDED.has(row.state)) {
      onEvent("done", row);
    }
  };
  const address = (/** @type {string} */ lastId) => `${path}/events${lastId && `?last_event_id=${lastId}`}`;
  stream(address, JOB_EVENTS, onEvent, { signal: ended.signal, onState, refused });
}

/**
 * Do something one time after the other; asked for while it is being done, it is done once more afterwards. So no
 * older answer replaces a newer one.
 *
 * @param {() => Promise<void>} act
 * @param {AbortSignal} signal
 * @returns {() => Promise<void>}
 */
export function inTurn(act, signal) {
  let isWanted = false;
  /** @type {Promise<void> | null} */
  let acting = null;
  const untilDone = async () => {
    try {
      while (isWanted && !signal.aborted) {
        isWanted = false;
        await act();
      }
    } finally {
      acting = null;
    }
  };
  return () => {
    isWanted = true;
    acting ??= untilDone();
    return acting;
  };
}
