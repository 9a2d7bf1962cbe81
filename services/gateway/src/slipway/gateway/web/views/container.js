/** One container: what it is, what runs in it, its credentials, its jobs. */

import { list, request } from "../api.js";
import { deleteButton, powerButtons } from "../actions.js";
import { credentialList } from "../credentials.js";
import { h, icon, replace } from "../dom.js";
import { followFleet } from "../live.js";
import { badge, card, facts, jobBadge, problemBox, loading, serviceList, warningList, when } from "../parts.js";
import { kindWords, memory } from "../words.js";

/**
 * @param {(state: string) => void} tellLive
 * @returns {import("../router.js").View}
 */
export function containerView(tellLive) {
  return async (page, { id, signal }) => {
    replace(page, loading());
    const path = `/api/v1/containers/${encodeURIComponent(id)}`;
    let drawn = "";
    const load = async () => {
      const [container, jobs] = await Promise.all([
        request("GET", path, { signal }),
        list("/api/v1/jobs", { wanted: 20, query: { container: id }, signal }),
      ]);
      const mine = jobs.items.filter((each) => each.container === id);
      const now = JSON.stringify([container, mine]);
      // Drawing anew would hide a revealed password and move the focus: only when something changed.
      if (now !== drawn) {
        drawn = now;
        document.title = `${container.hostname} · Slipway`;
        replace(page, content(container, mine, signal));
      }
    };
    const refresh = () => load().catch((error) => {
      if (!signal.aborted && error.status === 404) {
        drawn = "";
        replace(page, back(), problemBox(error));
      }
    });

    await load();
    followFleet(refresh, { signal, tell: tellLive });
  };
}

function back() {
  return h("a", { class: "back", href: "#/containers" }, icon("back"), "Containers");
}

/**
 * @param {import("../api.js").Container} container
 * @param {import("../api.js").Job[]} jobs
 * @param {AbortSignal} signal
 */
function content(container, jobs, signal) {
  const isBusy = container.lifecycle === "creating" || container.lifecycle === "deleting";
  const isGone = container.lifecycle === "deleted";
  const isAtRest = !isBusy && !isGone && !container.job;
  const trouble = h("div");
  return [
    back(),
    h("div", { class: "head" },
      h("div", { class: "head-title" }, h("h1", null, container.hostname),
        badge(container.lifecycle), !isGone && container.power !== "unknown" && badge(container.power)),
      h("div", { class: "head-tools" },
        isAtRest && powerButtons(container, trouble, signal), isAtRest && deleteButton(container, signal))),
    trouble,
    container.job && h("div", { class: "notice info" },
      h("p", null, "A job works on it now. ", h("a", { href: `#/jobs/${container.job}` }, "Follow it"))),
    warningList(container.warnings),
    h("div", { class: "columns" },
      h("div", null,
        card("Services", serviceList(container)),
        card("Credentials", credentialList(container, signal)),
        card("Jobs", jobRows(jobs))),
      card("Facts", factsOf(container))),
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
