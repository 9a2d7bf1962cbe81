/** A job that was begun on a page of something else: followed there to its end, so that nobody is led away. */

import { request } from "./api.js";
import { h, replace } from "./dom.js";
import { followJob } from "./live.js";
import { jobBadge, problemBox, warningList } from "./parts.js";
import { advance, newTimeline } from "./timeline.js";
import { jobTitle } from "./words.js";

export class BegunJob {
  /** The job that is shown; empty before the first one. */
  id = "";
  #over = new AbortController();

  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.element = h("div", { class: "part" });
    signal.addEventListener("abort", () => this.#over.abort());
  }

  /**
   * Show a job, in the place of the one before.
   *
   * @param {{job: {id: string}}} accepted
   */
  async show({ job: { id } }) {
    this.#over.abort();
    this.#over = new AbortController();
    const { signal } = this.#over;
    this.id = id;
    try {
      this.#follow(await request("GET", `/api/v1/jobs/${encodeURIComponent(id)}`, { signal }), signal);
    } catch (error) {
      signal.aborted || replace(this.element, problemBox(error));
    }
  }

  /**
   * @param {import("./api.js").Job} job
   * @param {AbortSignal} signal
   */
  #follow(job, signal) {
    const title = jobTitle(job);
    const timeline = newTimeline();
    const heading = h("h2", { "aria-live": "polite" }, title);
    const state = h("span");
    const bar = h("progress", { max: "100", value: "0", "aria-label": `${title}, done so far` });
    const percent = h("span", { class: "percent" });
    const meter = h("p", { class: "meter" }, bar, percent);
    const step = h("p", { class: "muted" });
    const outcome = h("div", { class: "outcome" });
    const draw = () => {
      replace(state, jobBadge(timeline.state));
      bar.value = timeline.percent;
      percent.textContent = `${timeline.percent} %`;
      step.textContent = timeline.step;
    };
    replace(this.element, h("section", { class: "card begun" },
      h("div", { class: "card-head" }, h("div", { class: "head-title" }, heading, state),
        h("a", { class: "button", href: `#/jobs/${job.id}` }, "Open the job")),
      meter, step, outcome));
    draw();
    followJob(job.id, (name, content) => {
      advance(timeline, name, content);
      draw();
      if (name === "done") {
        meter.hidden = step.hidden = true;
        heading.textContent = timeline.state === "succeeded" ? `${title}: done` : `${title}: ${timeline.state}`;
        replace(outcome, timeline.error && problemBox(timeline.error), warningList(timeline.warnings));
      }
    }, { signal });
  }
}
