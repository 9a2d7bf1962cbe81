/** One container: what it is, what runs in it, its credentials, its jobs. */

import { ENDED, list, request } from "../api.js";
import { deleteButton, powerButtons } from "../actions.js";
import { BegunJob } from "../begun.js";
import { credentialList } from "../credentials.js";
import { h, icon, replace } from "../dom.js";
import { Stored, sizeCard } from "../stored.js";
import { followFleet, inTurn } from "../live.js";
import { isFresh, isLive, isMissing, powerBadge, outageNotice } from "../looks.js";
import { pendingCard } from "../pending.js";
import { badge, card, facts, jobBadge, problemBox, loading, serviceList, warningList, when } from "../parts.js";
import { withFocus } from "../rows.js";
import { ago, kindWords, memory } from "../words.js";

const JOBS_AT_ONCE = 20;

/**
 * @param {(state: string) => void} onState
 * @returns {import("../router.js").View}
 */
export function containerView(onState) {
  return async (page, { id, signal }) => {
    replace(page, loading());
    const path = `/api/v1/containers/${encodeURIComponent(id)}`;
    const view = new ContainerView(signal, () => {
      most += JOBS_AT_ONCE;
      refresh();
    });
    let most = JOBS_AT_ONCE;
    const load = async () => {
      const [container, jobs] = await Promise.all([
        request("GET", path, { signal }),
        list("/api/v1/jobs", { most, query: { container: id }, signal }),
      ]);
      document.title = `${container.hostname} · Slipway`;
      view.show(container, jobs);
      if (!view.element.isConnected) {
        replace(page, back(), view.element);
      }
    };
    const refresh = inTurn(() => load().catch((error) => {
      if (!signal.aborted) {
        error.status === 404 ? replace(page, back(), problemBox(error)) : view.showProblem(error);
      }
    }), signal);

    await load();
    followFleet(refresh, { signal, onState });
  };
}

class ContainerView {
  /** What each part shows now. @type {Map<Element, string>} */
  #shown = new Map();

  /**
   * @param {AbortSignal} signal
   * @param {() => void} more shows more jobs
   */
  constructor(signal, more) {
    this.signal = signal;
    this.more = more;
    /** @type {Stored | null} */
    this.stored = null;
    this.ended = "";
    this.begun = new BegunJob(signal);
    this.then = (/** @type {{job: {id: string}}} */ accepted) => {
      this.begun.show(accepted);
    };
    const part = () => h("div", { class: "part" });
    [this.outage, this.head, this.notices, this.waiting] = [part(), part(), part(), part()];
    [this.services, this.credentials, this.keeps, this.jobs] = [part(), part(), part(), part()];
    [this.facts, this.size] = [part(), part()];
    this.element = h("div", { class: "parts" }, this.outage, this.head, this.begun.element, this.notices,
      this.waiting,
      h("div", { class: "columns" },
        h("div", null, this.services, this.credentials, this.keeps, this.jobs),
        h("div", null, this.facts, this.size)));
  }

  /**
   * @param {import("../api.js").Container} container
   * @param {{items: import("../api.js").Job[], hasMore: boolean}} jobs
   */
  show(container, jobs) {
    const { id, hostname, vmid, lifecycle, power, job, warnings, services, credentials, pending } = container;
    this.showProblem(null);
    const seen = isFresh(container) || container.looked_at;
    this.#part(this.head, [hostname, vmid, lifecycle, power, job, seen], () => headOf(container, this.signal, this.then));
    const other = job === this.begun.id ? null : job;
    this.#part(this.notices, [other, warnings, container.outage, lifecycle, power], () => noticesOf(container, other));
    this.#part(this.waiting, [pending, job], () => pendingCard(container, this.signal, this.then));
    this.#part(this.services, [services, isLive(container)],
      () => card("Services", serviceList(container, isLive(container))));
    this.#part(this.credentials, [id, credentials], () => card("Credentials", credentialList(container, this.signal)));
    this.#change(container, jobs.items);
    const rows = jobs.items.map((each) => [each.id, each.state, ago(each.created_at ?? "")]);
    this.#part(this.jobs, [rows, jobs.hasMore], () => card("Jobs", jobRows(jobs.items),
      jobs.hasMore && h("button", { type: "button", class: "button", onclick: this.more }, "Show more")));
    const { looked_at: at, ...rest } = container;
    this.#part(this.facts, [rest, ago(container.created_at ?? ""), at && ago(at)], () => card("Facts", factsOf(container)));
  }

  /**
   * Show what can be changed, and what its node keeps of it, which is read again when a job has changed that.
   *
   * @param {import("../api.js").Container} container
   * @param {import("../api.js").Job[]} jobs
   */
  #change(container, jobs) {
    const isThere = container.lifecycle === "ready";
    this.#part(this.size, isThere && container.spec, () => isThere && sizeCard(container, this.signal, this.then));
    this.#part(this.keeps, isThere, () => {
      this.stored = isThere ? new Stored(container, this.signal, this.then) : null;
      return this.stored?.element;
    });
    const ended = jobs.filter((each) => ENDED.has(each.state)).map((each) => each.id).join();
    if (this.ended !== ended) {
      this.ended = ended;
      this.stored?.load();
    }
  }

  /** @param {any} error what keeps the page from being true; null if nothing does */
  showProblem(error) {
    this.#part(this.outage, error && [error.code, error.message], () => error && problemBox(error));
  }

  /**
   * Draw a part anew if it shows something else: so the rest keeps the focus, and a revealed password.
   *
   * @param {Element} part
   * @param {any} shown
   * @param {() => any} draw
   */
  #part(part, shown, draw) {
    const now = JSON.stringify(shown ?? null);
    if (this.#shown.get(part) !== now) {
      this.#shown.set(part, now);
      withFocus(part, () => replace(part, draw()));
    }
  }
}

function back() {
  return h("a", { class: "back", href: "#/containers" }, icon("back"), "Containers");
}

/**
 * @param {import("../api.js").Container} container
 * @param {AbortSignal} signal
 * @param {(accepted: {job: {id: string}}) => void} then shows the job
 */
function headOf(container, signal, then) {
  const isBusy = container.lifecycle === "creating" || container.lifecycle === "deleting";
  const isGone = container.lifecycle === "deleted";
  const isAtRest = !isBusy && !isGone && !container.job;
  const outage = h("div");
  return [
    h("div", { class: "head" },
      h("div", { class: "head-title" }, h("h1", null, container.hostname),
        badge(container.lifecycle), !isGone && container.power !== "unknown" && powerBadge(container)),
      h("div", { class: "head-tools" },
        isAtRest && powerButtons(container, outage, signal, then), isAtRest && deleteButton(container, signal))),
    outage,
  ];
}

/**
 * @param {import("../api.js").Container} container
 * @param {string | null | undefined} job that works on it, unless the page shows that one already
 */
function noticesOf(container, job) {
  return [
    container.outage && outageNotice(container.outage),
    job && h("div", { class: "notice info" },
      h("p", null, "A job works on it now. ", h("a", { href: `#/jobs/${job}` }, "Follow it"))),
    container.lifecycle === "ready" && isMissing(container) && h("div", { class: "notice bad" }, icon("alert"),
      h("p", null, "It is not on its host any more. Delete it here as well, or bring it back there.")),
    warningList(container.warnings),
  ];
}

/** @param {import("../api.js").Container} container */
function factsOf(container) {
  const spec = container.spec ?? {};
  return facts([
    ["VMID", container.vmid],
    ["Address", container.address && h("code", null, container.address)],
    ["Node", container.node],
    ["Cluster", container.cluster],
    ["Template", [container.template, container.template_version].filter(Boolean).join(" ")],
    ["Cores", spec.cores],
    ["Memory", spec.memory && memory(spec.memory)],
    ["Disk", spec.disk && `${spec.disk} GiB`],
    ["Last seen", container.looked_at && when(container.looked_at)],
    ["Created", when(container.created_at)],
  ]);
}

/** @param {import("../api.js").Job[]} jobs */
function jobRows(jobs) {
  if (!jobs.length) {
    return h("p", { class: "muted" }, "No jobs are known.");
  }
  return h("ul", { class: "rows" }, jobs.map((job) =>
    h("li", null,
      h("span", { class: "row-name" }, h("a", { href: `#/jobs/${job.id}` }, kindWords(job.kind)), jobBadge(job.state)),
      h("span", { class: "row-value muted" }, when(job.created_at)))));
}
