/** One job, live: its phases, its log, and at the end what came of it. */

import { jobButtons } from "../actions.js";
import { ENDED, endedJob, request } from "../api.js";
import { credentialList } from "../credentials.js";
import { h, icon, replace } from "../dom.js";
import { evidence } from "../failure.js";
import { followJob } from "../live.js";
import { LogPane } from "../log.js";
import { isLive } from "../looks.js";
import { card, facts, jobBadge, loading, problemBox, serviceList, warningList } from "../parts.js";
import { ProgressView } from "../progress.js";
import { advance, newTimeline } from "../timeline.js";
import { jobTitle, span } from "../words.js";
import { showBatch } from "./batch.js";

/**
 * @param {(state: string) => void} onState
 * @returns {import("../router.js").View}
 */
export function jobView(onState) {
  return async (page, { id, signal }) => {
    replace(page, loading());
    const job = await request("GET", `/api/v1/jobs/${encodeURIComponent(id)}`, { signal });
    if (job.kind === "batch") {
      showBatch(page, job, { signal, onState });
      return;
    }
    const view = new JobView(job, signal);
    document.title = `${view.title} · Slipway`;
    replace(page, view.parts());
    followJob(id, (name, content) => view.receive(name, content), { signal, onState });
  };
}

class JobView {
  /**
   * @param {import("../api.js").Job} job
   * @param {AbortSignal} signal
   */
  constructor(job, signal) {
    this.job = job;
    this.signal = signal;
    this.title = jobTitle(job);
    this.isCreation = job.kind === "container.create";
    this.timeline = newTimeline();
    this.progress = new ProgressView({ hasPhases: this.isCreation });
    this.log = new LogPane(job.id);
    this.state = h("span");
    this.took = h("span", { class: "muted took" });
    this.outcome = h("div", { class: "outcome" });
    this.outage = h("div");
    this.tools = h("div", { class: "head-tools" },
      !ENDED.has(job.state) && jobButtons(job, this.outage, signal));
    this.clock = setInterval(() => this.#tick(), 1000);
    signal.addEventListener("abort", () => clearInterval(this.clock));
    this.#draw();
    this.#tick();
  }

  parts() {
    const retryOf = this.job.retry_of;
    return [
      h("a", { class: "back", href: "#/jobs" }, icon("back"), "Jobs"),
      h("div", { class: "head" },
        h("div", { class: "head-title" }, h("h1", null, this.title), this.state, this.took),
        this.tools),
      h("p", { class: "muted" }, `VMID ${this.job.vmid}, cluster ${this.job.cluster}`),
      this.job.parent && h("p", { class: "muted" }, "One of ", h("a", { href: `#/jobs/${this.job.parent}` }, "a batch"), "."),
      retryOf && h("p", { class: "muted" }, "Goes on where ", h("a", { href: `#/jobs/${retryOf}` }, "an earlier job"),
        " stopped."),
      this.outage,
      this.outcome,
      this.progress.element,
      this.log.element,
    ];
  }

  /**
   * @param {string} name
   * @param {any} content
   */
  receive(name, content) {
    if (name === "reset") {
      this.log.clear();
    }
    if (name === "log") {
      this.log.add(content);
    }
    advance(this.timeline, name, content);
    this.#draw();
    if (name === "done") {
      this.#end();
    }
  }

  #draw() {
    if (this.state.textContent !== this.timeline.state) {
      replace(this.state, jobBadge(this.timeline.state));
    }
    this.progress.show(this.timeline);
  }

  #tick() {
    const { started_at: started, created_at: created, finished_at: finished } = this.job;
    const from = Date.parse(started ?? created ?? "");
    const until = finished ? Date.parse(finished) : Date.now();
    if (!Number.isNaN(from)) {
      this.took.textContent = span(Math.max(0, Math.round((until - from) / 1000)));
    }
  }

  async #end() {
    clearInterval(this.clock);
    replace(this.tools);
    replace(this.outage);
    const buttons = h("div", { class: "outcome-actions" });
    const outage = h("div");
    const hasSucceeded = this.timeline.state === "succeeded";
    replace(this.outcome, hasSucceeded ? [] : this.#failure(buttons, outage));
    try {
      this.job = await endedJob(this.job.id, this.signal);
      this.#tick();
      replace(buttons, jobButtons(this.job, outage, this.signal));
      if (hasSucceeded) {
        replace(this.outcome, await this.#success());
      }
    } catch (error) {
      if (!this.signal.aborted) {
        replace(hasSucceeded ? this.outcome : buttons, problemBox(error, { retry: () => this.#end() }));
      }
    }
  }

  async #success() {
    if (this.isCreation) {
      return this.#created();
    }
    return this.job.kind === "container.delete" ? this.#deleted() : this.#changed();
  }

  #changed() {
    return card(`${this.title}: done`, this.job.container
      && h("p", null, h("a", { href: `#/containers/${this.job.container}` }, `Open ${this.job.hostname}`)));
  }

  async #created() {
    const path = `/api/v1/containers/${encodeURIComponent(this.job.container)}`;
    const container = await request("GET", path, { signal: this.signal });
    return h("section", { class: "card result" },
      h("div", { class: "card-head" },
        h("h2", null, icon("check"), `${container.hostname} is ready`),
        h("a", { class: "button", href: `#/containers/${container.id}` }, "Open")),
      warningList(this.timeline.warnings),
      facts([
        ["VMID", container.vmid],
        ["Node", container.node],
        ["Cluster", container.cluster],
        ["Address", container.address && h("code", null, container.address)],
      ]),
      h("h3", null, "Services"), serviceList(container, isLive(container)),
      h("h3", null, "Credentials"), credentialList(container, this.signal));
  }

  #deleted() {
    return card(`${this.job.hostname} is deleted`,
      h("p", null, "Its name and its VMID are free again. ", h("a", { href: "#/containers" }, "All containers")));
  }

  /**
   * @param {Element} buttons for what makes sense now
   * @param {Element} outage where they say what went wrong
   */
  #failure(buttons, outage) {
    const { state, error, warnings } = this.timeline;
    return [
      state === "cancelled"
        ? h("div", { class: "notice info" }, h("p", null, "The job was cancelled before it was done."))
        : problemBox(error ?? {}, { title: `${this.title} failed` }),
      warningList(warnings),
      buttons,
      outage,
      evidence(error),
    ];
  }
}
