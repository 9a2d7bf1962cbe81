/** What waits for a container's next start: shown with what is so now, and dropped or put into effect. */

import { showJob } from "./actions.js";
import { request } from "./api.js";
import { h, replace } from "./dom.js";
import { card, problemBox } from "./parts.js";

/**
 * A card with the changes that wait; null if none does.
 *
 * @param {import("./api.js").Container} container
 * @param {AbortSignal} signal
 */
export function pendingCard({ id, pending = {}, job }, signal) {
  const changes = Object.entries(pending);
  if (changes.length === 0) {
    return null;
  }
  const outage = h("div");
  const path = `/api/v1/containers/${encodeURIComponent(id)}`;
  const ask = async (/** @type {string} */ verb) => {
    replace(outage);
    try {
      showJob(await request("POST", `${path}/${verb}`, { signal }));
    } catch (error) {
      replace(outage, problemBox(error));
    }
  };
  const button = (/** @type {string} */ label, /** @type {string} */ verb, look = "") =>
    h("button", { type: "button", class: `button ${look}`, onclick: () => ask(verb) }, label);
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
    !job && h("div", { class: "form-end" }, button("Drop the changes", "revert", "quiet"), button("Restart now", "restart", "primary")));
}

/**
 * @param {string} label shown beside the value where the table is narrow
 * @param {string | null | undefined} value
 */
function cell(label, value) {
  return h("td", { "data-label": label }, h("div", null, value ? h("code", null, value) : "not set"));
}
