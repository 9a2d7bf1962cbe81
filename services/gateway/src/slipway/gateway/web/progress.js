/** How far a job is: five phases as steps, percent, the current step in words, and the scripts. */

import { ENDED } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { PHASES } from "./timeline.js";
import { span } from "./words.js";

/** @type {Record<string, string>} */
const SIGNS = { finished: "check", failed: "cross" };
/** @type {Record<string, string>} */
const SAID = { waiting: "not yet", running: "now", finished: "finished", failed: "failed" };
/** @type {Record<string, string>} */
const SCRIPT_CLASS = { started: "running", finished: "finished", skipped: "finished", failed: "failed" };

export class ProgressView {
  #drawn = "";

  /** @param {{hasPhases: boolean}} options a deletion has no phases */
  constructor({ hasPhases }) {
    this.hasPhases = hasPhases;
    this.phases = h("ol", { class: "phases", "aria-label": "Phases", hidden: !hasPhases });
    this.bar = h("progress", { max: "100", value: "0", "aria-label": "Done so far" });
    this.percent = h("span", { class: "percent" }, "0 %");
    this.step = h("p", { class: "step", "aria-live": "polite" });
    this.scripts = h("ol", { class: "scripts", "aria-label": "Scripts", hidden: true });
    this.element = h("section", { class: "card progress", "aria-label": "Progress" },
      this.phases, h("div", { class: "meter" }, this.bar, this.percent), this.step, this.scripts);
  }

  /** @param {import("./timeline.js").Timeline} timeline */
  show(timeline) {
    this.element.dataset.state = timeline.state;
    this.bar.value = timeline.percent;
    this.percent.textContent = `${timeline.percent} %`;
    if (this.step.textContent !== timeline.step) {
      this.step.textContent = timeline.step;
    }
    // Once it is over, the outcome above says it to those who see.
    this.step.classList.toggle("hidden", ENDED.has(timeline.state));
    const now = JSON.stringify([timeline.phases, timeline.scripts]);
    if (now !== this.#drawn) {
      this.#drawn = now;
      replace(this.phases, PHASES.map((phase, index) => phaseItem(phase, index, timeline.phases[phase])));
      replace(this.scripts, timeline.scripts.map(scriptItem));
      this.scripts.hidden = timeline.scripts.length === 0;
    }
  }
}

/**
 * @param {string} phase
 * @param {number} index
 * @param {string} status
 */
function phaseItem(phase, index, status) {
  return h("li", {
    class: status, "data-phase": phase, "data-status": status, "aria-current": status === "running" ? "step" : null,
  },
  h("span", { class: "dot" }, SIGNS[status] ? icon(SIGNS[status]) : index + 1),
  h("span", { class: "phase-name" }, phase),
  h("span", { class: "hidden" }, `, ${SAID[status]}`));
}

/** @param {import("./timeline.js").Script} script */
function scriptItem({ name, status, seconds }) {
  const kind = SCRIPT_CLASS[status] ?? "waiting";
  return h("li", { class: kind },
    h("span", { class: "script-sign" }, SIGNS[kind] ? icon(SIGNS[kind]) : null),
    h("code", null, name),
    h("span", { class: "hidden" }, `, ${SAID[kind]}`),
    h("span", { class: "script-time" }, status === "skipped" ? "skipped" : seconds === null ? "" : span(seconds)));
}
