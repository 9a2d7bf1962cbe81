/**
 * Live streams. `EventSource` resumes by itself with `Last-Event-ID`; only when the server refused it for good
 * it is opened anew here, after a growing delay, and the story then starts from its beginning.
 */

import { request } from "./api.js";

const DELAYS = [1000, 2000, 5000, 10000];
const QUIET_MS = 250;
const POLL_MS = 30000;

const FLEET_EVENTS = [
  "accepted", "phase", "done", "registered", "ready", "failed", "deleted", "discovered", "changed", "gone", "added",
  "forgotten", "found",
  "reset",
];
const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const JOB_EVENTS = ["accepted", "phase", "step", "log", "progress", "item", "done", "reset"];

/** @typedef {"connecting" | "live" | "lost" | "ended"} StreamState */

/**
 * Keep a stream open until the signal.
 *
 * @param {string} path
 * @param {string[]} names
 * @param {(name: string, content: any) => void} receive
 * @param {{signal: AbortSignal, tell?: (state: StreamState) => void, refused: (failures: number) => Promise<void>}}
 *   options `refused` is awaited before the stream is opened anew
 */
function stream(path, names, receive, { signal, tell = () => {}, refused }) {
  let failures = 0;
  const open = () => {
    if (signal.aborted) {
      return;
    }
    const source = new EventSource(path);
    const close = () => source.close();
    signal.addEventListener("abort", close, { once: true });
    source.addEventListener("open", () => {
      failures = 0;
      tell("live");
    });
    source.addEventListener("error", () => {
      tell("lost");
      if (source.readyState === EventSource.CLOSED && !signal.aborted) {
        signal.removeEventListener("abort", close);
        again();
      }
    });
    for (const name of names) {
      source.addEventListener(name, (event) => receive(name, parse(event.data)));
    }
  };
  const again = () => {
    const delay = DELAYS[Math.min(failures, DELAYS.length - 1)];
    failures += 1;
    setTimeout(async () => {
      await refused(failures).catch(() => {});
      open();
    }, delay);
  };
  tell("connecting");
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
 * Call `changed` soon after anything changed in the fleet, and now and then in case an event was missed. While
 * the tab is hidden the stream is closed, since a browser has only a few connections.
 *
 * @param {() => void} changed
 * @param {{signal: AbortSignal, tell?: (state: StreamState) => void}} options
 */
export function followFleet(changed, { signal, tell }) {
  /** @type {AbortController | null} */
  let open = null;
  let timer = 0;
  const soon = () => {
    // Events that never stop must not put it off for ever.
    timer ||= window.setTimeout(() => {
      timer = 0;
      changed();
    }, QUIET_MS);
  };
  const start = () => {
    open = new AbortController();
    // A refused stream doesn't say why; a plain request, which `changed` makes, notices a lost session.
    stream("/api/v1/events", FLEET_EVENTS, soon, { signal: open.signal, tell, refused: async () => soon() });
  };
  const turn = () => {
    open?.abort();
    if (!document.hidden) {
      start();
      soon();
    }
  };
  const poll = setInterval(() => document.hidden || changed(), POLL_MS);
  document.addEventListener("visibilitychange", turn, { signal });
  signal.addEventListener("abort", () => {
    open?.abort();
    clearTimeout(timer);
    clearInterval(poll);
  });
  start();
}

/**
 * Follow a job's story; it is closed after `done`. A `reset` means that the story starts anew. Of a job whose
 * story is not kept any more, the end alone is told.
 *
 * @param {string} job
 * @param {(name: string, content: any) => void} receive
 * @param {{signal: AbortSignal, tell?: (state: StreamState) => void}} options
 */
export function followJob(job, receive, { signal, tell = () => {} }) {
  const path = `/api/v1/jobs/${encodeURIComponent(job)}`;
  const ended = new AbortController();
  signal.addEventListener("abort", () => ended.abort());
  const hear = (/** @type {string} */ name, /** @type {any} */ content) => {
    if (name === "done") {
      ended.abort();
      tell("ended");
    }
    receive(name, content);
  };
  const refused = async (/** @type {number} */ failures) => {
    const found = await request("GET", path, { signal: ended.signal });
    if (failures > 1 && ENDED.has(found.state)) {
      hear("done", found);
    } else {
      receive("reset", {});
    }
  };
  stream(`${path}/events`, JOB_EVENTS, hear, { signal: ended.signal, tell, refused });
}
