/** What waits for a container's next start: shown with what is so now, and dropped or put into effect. */

import { plannedButton } from "./actions.js";
import { h } from "./dom.js";
import { card } from "./parts.js";

/**
 * A card with the changes that wait; null if none does.
 *
 * @param {import("./api.js").Container} container
 * @param {AbortSignal} signal
 * @param {(accepted: {job: {id: string}}) => void} then shows the job
 */
export function pendingCard({ id, hostname, pending = {}, job }, signal, then) {
  const changes = Object.entries(pending);
  if (changes.length === 0) {
    return null;
  }
  const outage = h("div");
  const path = `/api/v1/containers/${encodeURIComponent(id)}`;
  const drop = { title: "Drop the changes?", go: "Drop them", path: `${path}/revert`, signal, then };
  const restart = { title: `Restart ${hostname} now?`, go: "Restart", path: `${path}/restart`, signal, then };
  return card("After the next restart",
    h("p", { class: "hint" }, "Proxmox keeps these changes until the container is started anew."),
    h("table", { class: "table" },
      h("caption", { class: "hidden" }, "Changes that wait for the next restart"),
      h("thead", null, h("tr", null, ["Setting", "Now", "After a restart"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, changes.map(([key, change]) => h("tr", null,
        h("th", { scope: "row" }, h("code", null, key)),
        cell("Now", change.now),
        cell("After a restart", change.after_restart))))),
    outage,
    !job && h("div", { class: "form-end" }, plannedButton("Drop the changes", drop, outage, "quiet"), plannedButton("Restart now", restart, outage, "primary")));
}

/**
 * @param {string} label shown beside the value where the table is narrow
 * @param {string | null | undefined} value
 */
function cell(label, value) {
  return h("td", { "data-label": label }, h("div", null, value ? h("code", null, value) : "not set"));
}
