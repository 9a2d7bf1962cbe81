/**
 * Which part of Slipway is away. The gateway is asked every few seconds while the page is seen: its stream may
 * be open and silent, and a gateway that is frozen says nothing at all.
 */

import { ROOT, h, icon, replace } from "./dom.js";

const LOOK_MS = 4000;
const TIMEOUT_MS = 4000;

/** @type {Record<string, string>} */
const NAMES = {
  bus: "message bus", postgres: "database", events: "event streams", catalog: "template catalog", page: "Slipway itself",
};
/** What is there, and can't do all of it: its message says why. */
const LIMITED = ["bus.full", "disk.full", "certificate", "installation.paused"];

/** @typedef {{name: string, message: string, since: Date}} Outage */

/**
 * Look until the signal, and report whenever something changed.
 *
 * @param {(outages: Outage[]) => void} onChange
 * @param {AbortSignal} signal
 */
export function watchOutages(onChange, signal) {
  /** @type {Map<string, Outage>} */
  let previous = new Map();
  let isLooking = false;
  const look = async () => {
    if (isLooking || document.hidden) {
      return;
    }
    isLooking = true;
    const reasons = await ask();
    isLooking = false;
    const outages = new Map(Object.entries(reasons).map(([name, message]) =>
      [name, { name, message, since: previous.get(name)?.since ?? new Date() }]));
    const isChanged = [...outages.keys()].join() !== [...previous.keys()].join();
    const isBack = [...previous.keys()].some((name) => !outages.has(name));
    previous = outages;
    if (isChanged) {
      onChange([...outages.values()]);
    }
    if (isBack) {
      document.dispatchEvent(new CustomEvent("back"));
    }
  };
  const timer = setInterval(look, LOOK_MS);
  document.addEventListener("visibilitychange", look, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
  look();
}

/** @returns {Promise<Record<string, string>>} why, by part */
async function ask() {
  try {
    const answer = await fetch(`${ROOT}readyz`, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const { missing = {}, degraded = {} } = await answer.json();
    return { ...missing, ...degraded };
  } catch {
    return { page: "It can't be reached. Check that it runs and that this machine is online." };
  }
}

/**
 * What the bar says beside the stream's own state; empty while all is there.
 *
 * @param {Outage[]} outages
 */
export function awayWords(outages) {
  const away = outages.filter(({ name }) => !LIMITED.includes(name));
  return away.length ? `Away: ${away.map(named).join(", ")} since ${clock(away[0].since)}` : "";
}

/**
 * Say above the page what is away, and what that means.
 *
 * @param {HTMLElement} place
 * @param {Outage[]} outages
 */
export function showOutages(place, outages) {
  place.hidden = outages.length === 0;
  const isAway = outages.some(({ name }) => !LIMITED.includes(name));
  replace(place, outages.length === 0 ? [] : h("div", { class: "notice warn" }, icon("alert"), h("div", null,
    outages.map((each) => h("p", null, LIMITED.includes(each.name) ? each.message : sentence(each))),
    isAway && h("p", null, "What is shown may be old. Nothing that was accepted is lost; this page goes on by itself."))));
}

/** @param {Outage} outage */
function sentence(outage) {
  const name = named(outage);
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}: away since ${clock(outage.since)}. ${outage.message}`;
}

/** @param {Outage} outage */
function named({ name }) {
  return NAMES[name] ?? name;
}

/** @param {Date} moment */
function clock(moment) {
  return moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
