/** All jobs, newest first, live. */

import { h, replace } from "../dom.js";
import { Listing } from "../listing.js";
import { followFleet } from "../live.js";
import { empty, jobBadge, when } from "../parts.js";
import { jobTitle } from "../words.js";

const AT_ONCE = 100;

/**
 * @param {(state: string) => void} onState
 * @returns {import("../router.js").View}
 */
export function jobsView(onState) {
  return async (page, { signal }) => {
    const jobs = new Listing({
      path: "/api/v1/jobs",
      atOnce: AT_ONCE,
      caption: "Jobs, newest first",
      heads: ["Job", "State", "Done", "By", "When"],
      row: (job) => row(job, clusters(jobs.items).size > 1),
      nothing: empty("No jobs yet", "Whatever Slipway does to a container is a job, and is stored here."),
      signal,
    });
    replace(page, h("div", { class: "head" }, h("h1", null, "Jobs")), jobs.element);

    await jobs.load();
    followFleet(() => jobs.load(), { signal, onState });
  };
}

/** @param {import("../api.js").Job[]} jobs */
function clusters(jobs) {
  return new Set(jobs.flatMap(({ cluster }) => cluster ?? []));
}

/**
 * @param {import("../api.js").Job} job
 * @param {boolean} areSeveral whether these are jobs of several clusters: names and VMIDs may repeat then
 */
function row(job, areSeveral) {
  const isLive = job.state === "running" || job.state === "queued";
  return h("tr", { "data-key": job.id },
    h("th", { scope: "row" },
      h("a", { href: `#/jobs/${job.id}` }, jobTitle(job)),
      h("span", { class: "vmid" }, job.vmid),
      areSeveral && job.cluster && h("div", { class: "muted" }, job.cluster)),
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
