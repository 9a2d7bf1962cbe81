/** One batch, live: how many of its items have ended, and where each one stands. */

import { jobButtons } from "../actions.js";
import { ENDED, endedJob } from "../api.js";
import { h, icon, replace } from "../dom.js";
import { followJob } from "../live.js";
import { jobBadge, problemBox } from "../parts.js";
import { updateRow } from "../rows.js";
import { jobTitle } from "../words.js";

/** @typedef {{index: number, container?: string | null, vmid: number, hostname?: string, job?: string | null,
 *   state: string, error?: import("../api.js").ProblemBody | null}} Item */

/**
 * Show a batch and follow it to its end.
 *
 * @param {Element} page
 * @param {any} job a batch, with its items
 * @param {{signal: AbortSignal, onState: (state: string) => void}} options
 */
export function showBatch(page, job, { signal, onState }) {
  const title = jobTitle(job);
  const state = h("span", null, jobBadge(job.state));
  const outage = h("div");
  const tools = h("div", { class: "head-tools" },
    !ENDED.has(job.state) && jobButtons(job, outage, signal));
  const outcome = h("div", { class: "outcome" });
  const done = h("progress", { max: "100", value: job.percent, "aria-label": `${title}, done so far` });
  const percent = h("span", { class: "percent" }, `${job.percent} %`);
  const meter = h("p", { class: "meter" }, done, percent);
  /** @type {Map<number, HTMLElement>} */
  const rows = new Map(job.items.map((/** @type {Item} */ item) => [item.index, row(item)]));
  document.title = `${title} · Slipway`;
  replace(page,
    h("a", { class: "back", href: "#/jobs" }, icon("back"), "Jobs"),
    h("div", { class: "head" }, h("div", { class: "head-title" }, h("h1", null, title), state), tools),
    outage, outcome,
    meter,
    table([...rows.values()]));

  const end = async (/** @type {string} */ how, /** @type {any} */ error) => {
    replace(state, jobBadge(how));
    meter.dataset.state = how;
    replace(tools);
    replace(outage);
    const buttons = h("div", { class: "outcome-actions" });
    replace(outcome, error && problemBox(error, { title: `${title}: not all succeeded` }), buttons);
    const ended = await endedJob(job.id, signal);
    replace(buttons, jobButtons(ended, outage, signal));
  };
  followJob(job.id, (name, content) => {
    const item = rows.get(content.index);
    if (name === "item" && item) {
      updateRow(item, row(content));
    }
    if (typeof content.percent === "number") {
      done.value = content.percent;
      percent.textContent = `${content.percent} %`;
    }
    if (name === "item" && !ENDED.has(content.state)) {
      replace(state, jobBadge("running"));
    }
    if (name === "done") {
      end(content.state, content.error).catch((error) => signal.aborted || replace(outage, problemBox(error)));
    }
  }, { signal, onState });
}

/** @param {Element[]} rows */
function table(rows) {
  const heads = ["Container", "State", "Why"];
  return h("div", { class: "card flush" },
    h("table", { class: "table" },
      h("caption", { class: "hidden" }, "The items of the batch"),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, rows)));
}

/** @param {Item} item */
function row(item) {
  const name = item.hostname || `VMID ${item.vmid}`;
  const link = item.job ? `#/jobs/${item.job}` : item.container && `#/containers/${item.container}`;
  return h("tr", { "data-state": item.state },
    h("th", { scope: "row" }, link ? h("a", { href: link }, name) : name, h("span", { class: "vmid" }, item.vmid)),
    h("td", { "data-label": "State" }, h("div", null, jobBadge(item.state))),
    h("td", { "data-label": "Why" }, h("div", null, item.error?.message ?? "–")));
}
