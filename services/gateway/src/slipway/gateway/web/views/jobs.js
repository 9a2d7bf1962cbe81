/** All jobs, newest first, live. */

import { list } from "../api.js";
import { h, replace } from "../dom.js";
import { followFleet } from "../live.js";
import { empty, jobBadge, loading, problemBox, when } from "../parts.js";
import { jobTitle } from "../words.js";

const SHOWN = 100;

/**
 * @param {(state: string) => void} tellLive
 * @returns {import("../router.js").View}
 */
export function jobsView(tellLive) {
  return async (page, { signal }) => {
    const body = h("div", null, loading());
    replace(page, h("div", { class: "head" }, h("h1", null, "Jobs")), body);
    const load = async () => {
      try {
        const { items } = await list("/api/v1/jobs", { wanted: SHOWN, signal });
        replace(body, items.length ? table(items)
          : empty("No jobs yet", "Whatever Slipway does to a container is a job, and is kept here."));
      } catch (error) {
        if (!signal.aborted) {
          replace(body, problemBox(error, { retry: load }));
        }
      }
    };

    await load();
    followFleet(load, { signal, tell: tellLive });
  };
}

/** @param {import("../api.js").Job[]} jobs */
function table(jobs) {
  const heads = ["Job", "State", "Done", "By", "When"];
  return h("div", { class: "card flush" },
    h("table", { class: "table" },
      h("caption", { class: "hidden" }, "Jobs, newest first"),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, jobs.map(row))));
}

/** @param {import("../api.js").Job} job */
function row(job) {
  const isLive = job.state === "running" || job.state === "queued";
  return h("tr", null,
    h("th", { scope: "row" },
      h("a", { href: `#/jobs/${job.id}` }, jobTitle(job)),
      h("span", { class: "vmid" }, job.vmid)),
    cell("State", h("span", { class: "badges" }, jobBadge(job.state), isLive && job.phase)),
    cell("Done", h("span", { class: "meter small" },
      h("progress", { max: "100", value: job.percent ?? 0, "aria-label": `${jobTitle(job)}, done so far` }),
      h("span", { class: "percent" }, `${job.percent ?? 0} %`))),
    cell("By", job.actor ?? "–"),
    cell("When", when(job.created_at)));
}

/**
 * @param {string} label
 * @param {any} child
 */
function cell(label, child) {
  return h("td", { "data-label": label }, h("div", null, child));
}
