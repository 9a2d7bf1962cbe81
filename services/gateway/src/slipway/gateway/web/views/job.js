/** One job, live: its phases, its log, and at the end what came of it. */

import { request } from "../api.js";
import { cancelButton, deleteButton, retryButton, undoButton } from "../actions.js";
import { credentialList } from "../credentials.js";
import { h, icon, replace } from "../dom.js";
import { followJob } from "../live.js";
import { LogPane } from "../log.js";
import { card, facts, jobBadge, loading, problemBox, serviceList, warningList } from "../parts.js";
import { ProgressView } from "../progress.js";
import { newStory, tell } from "../story.js";
import { jobTitle, span } from "../words.js";
import { showBatch } from "./batch.js";

const TERMINAL = new Set(["succeeded", "failed", "cancelled"]);
/** Kinds of jobs that make a container. */
const MAKING = new Set(["container.create", "container.clone"]);

/**
 * @param {(state: string) => void} tellLive
 * @returns {import("../router.js").View}
 */
export function jobView(tellLive) {
  return async (page, { id, signal }) => {
    replace(page, loading());
    const job = await request("GET", `/api/v1/jobs/${encodeURIComponent(id)}`, { signal });
    if (job.kind === "batch") {
      showBatch(page, job, { signal, tell: tellLive });
      return;
    }
    const view = new JobView(job, signal);
    document.title = `${view.title} · Slipway`;
    replace(page, view.parts());
    followJob(id, (name, content) => view.receive(name, content), { signal, tell: tellLive });
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
    this.story = newStory();
    this.progress = new ProgressView({ hasPhases: this.isCreation });
    this.log = new LogPane(job.id);
    this.state = h("span");
    this.took = h("span", { class: "muted took" });
    this.outcome = h("div", { class: "outcome" });
    this.trouble = h("div");
    this.tools = h("div", { class: "head-tools" },
      !TERMINAL.has(job.state) && [
        cancelButton(job.id, this.trouble, signal),
        MAKING.has(job.kind) && undoButton(job.id, this.trouble, signal),
      ]);
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
      this.trouble,
      this.job.parent && h("p", { class: "muted" }, "One of ", h("a", { href: `#/jobs/${this.job.parent}` }, "a batch"), "."),
      retryOf && h("p", { class: "muted" }, "Goes on where ", h("a", { href: `#/jobs/${retryOf}` }, "an earlier job"),
        " stopped."),
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
    tell(this.story, name, content);
    this.#draw();
    if (name === "done") {
      this.#end();
    }
  }

  #draw() {
    if (this.state.textContent !== this.story.state) {
      replace(this.state, jobBadge(this.story.state));
    }
    this.progress.show(this.story);
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
    replace(this.trouble);
    replace(this.outcome, this.story.state === "succeeded" ? [] : this.#failure());
    try {
      const job = await request("GET", `/api/v1/jobs/${encodeURIComponent(this.job.id)}`, { signal: this.signal });
      // The row follows the story by a moment; until then the last tick stands.
      this.job = TERMINAL.has(job.state) ? job : this.job;
      this.#tick();
      if (this.story.state === "succeeded") {
        replace(this.outcome, await this.#success());
      }
    } catch (error) {
      if (!this.signal.aborted) {
        replace(this.outcome, problemBox(error, { retry: () => this.#end() }));
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
    return card(`${this.title}: done`,
      h("p", null, h("a", { href: `#/containers/${this.job.container}` }, `Open ${this.job.hostname}`)));
  }

  async #created() {
    const path = `/api/v1/containers/${encodeURIComponent(this.job.container)}`;
    const container = await request("GET", path, { signal: this.signal });
    return h("section", { class: "card result" },
      h("div", { class: "card-head" },
        h("h2", null, icon("check"), `${container.hostname} is ready`),
        h("a", { class: "button", href: `#/containers/${container.id}` }, "Open")),
      warningList(this.story.warnings),
      facts([
        ["VMID", container.vmid],
        ["Node", container.node],
        ["Address", container.address && h("code", null, container.address)],
      ]),
      h("h3", null, "Services"), serviceList(container),
      h("h3", null, "Credentials"), credentialList(container, this.signal));
  }

  #deleted() {
    return card(`${this.job.hostname} is deleted`,
      h("p", null, "Its name and its VMID are free again. ", h("a", { href: "#/containers" }, "All containers")));
  }

  #failure() {
    const { state, error } = this.story;
    const trouble = h("div");
    const container = { id: this.job.container, hostname: this.job.hostname, vmid: this.job.vmid };
    return [
      state === "cancelled"
        ? h("div", { class: "notice info" }, h("p", null, "The job was cancelled before it was done."))
        : problemBox(error ?? {}, { title: `${this.title} failed` }),
      warningList(this.story.warnings),
      h("div", { class: "outcome-actions" },
        retryButton(this.job.id, trouble, this.signal),
        this.isCreation && deleteButton(container, this.signal)),
      trouble,
    ];
  }
}
