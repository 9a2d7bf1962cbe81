/** What is known of a failure: the step, what ran in it, how it ended, and the last that it said. */

import { h } from "./dom.js";
import { card, facts } from "./parts.js";
import { inWords } from "./timeline.js";

/** Short details, in the order in which they are shown. @type {Record<string, string>} */
const FACTS = {
  step: "Step", script: "Script", command: "Command", exit_code: "Exit code", upid: "Proxmox task",
};
/** Details of many lines. @type {Record<string, string>} */
const TEXTS = { last_lines: "Last lines", task_log: "Log of the Proxmox task" };

/**
 * A card with the details of a problem; null if there are none.
 *
 * @param {import("./api.js").ProblemBody | null | undefined} problem
 */
export function evidence(problem) {
  const details = Object.entries(problem?.details ?? {}).filter(([, text]) => text !== "");
  if (!details.length) {
    return null;
  }
  const isText = ([name, text]) => name in TEXTS || text.includes("\n");
  const short = details.filter((each) => !isText(each)).sort(byOrder);
  return card("Where it ended",
    facts(short.map(([name, text]) => [FACTS[name] ?? spoken(name), value(name, text)])),
    details.filter(isText).map(([name, text]) => tail(TEXTS[name] ?? spoken(name), text)));
}

/**
 * @param {[string, string]} one
 * @param {[string, string]} other
 */
function byOrder([one], [other]) {
  return place(one) - place(other);
}

/** @param {string} name */
function place(name) {
  const index = Object.keys(FACTS).indexOf(name);
  return index < 0 ? Infinity : index;
}

/**
 * @param {string} name
 * @param {string} text
 */
function value(name, text) {
  return name === "step" ? [inWords(text), " ", h("code", { class: "muted" }, text)] : h("code", null, text);
}

/**
 * Lines in a box of their own, which begins at its end.
 *
 * @param {string} title
 * @param {string} text
 */
function tail(title, text) {
  const lines = h("pre", { class: "tail", tabindex: "0", role: "region", "aria-label": title }, text);
  requestAnimationFrame(() => {
    lines.scrollTop = lines.scrollHeight;
  });
  return [h("h3", null, title), lines];
}

/** @param {string} name */
function spoken(name) {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}
