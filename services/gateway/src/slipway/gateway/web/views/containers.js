/** All containers, live. */

import { list } from "../api.js";
import { h, icon, replace } from "../dom.js";
import { Listing } from "../listing.js";
import { followFleet } from "../live.js";
import { isLive, powerBadge, outagesOf } from "../looks.js";
import { badge, empty, webLink } from "../parts.js";
import { warningWords } from "../words.js";

const AT_ONCE = 200;
const MOST_CLUSTERS = 100;

/**
 * @param {(state: string) => void} onState
 * @returns {import("../router.js").View}
 */
export function containersView(onState) {
  return async (page, { signal }) => {
    let areSeveral = false;
    const containers = new Listing({
      path: "/api/v1/containers",
      query: { view: "summary" },
      atOnce: AT_ONCE,
      caption: "Containers",
      heads: ["Hostname", "State", "Address", "Services", "Template", "Node"],
      row: (each) => row(each, areSeveral),
      nothing: empty("No containers yet", "Choose a template and watch your first one come up.", newLink()),
      signal,
      drawn: (items) => {
        tools.hidden = items.length === 0;
      },
    });
    const filter = h("input", {
      type: "search", id: "filter", placeholder: "Filter", "aria-label": "Filter containers", autocomplete: "off",
      oninput: () => containers.draw(),
    });
    containers.isWanted = (each) => textOf(each).includes(filter.value.trim().toLowerCase());
    const tools = h("div", { class: "head-tools", hidden: true }, filter, newLink());
    const outages = h("div", { class: "part", "aria-live": "polite" });
    replace(page, h("div", { class: "head" }, h("h1", null, "Containers"), tools), outages, containers.element);
    const load = async () => {
      const [clusters] = await Promise.all([showOutages(outages, signal), containers.load()]);
      if (areSeveral !== clusters.length > 1) {
        areSeveral = !areSeveral;
        containers.draw();
      }
    };

    await load();
    followFleet(load, { signal, onState });
  };
}

/**
 * Say what is wrong with clusters; that they can't be read the list itself says.
 *
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 * @returns {Promise<import("../api.js").Cluster[]>} the clusters
 */
async function showOutages(place, signal) {
  try {
    const { items } = await list("/api/v1/clusters", { most: MOST_CLUSTERS, signal });
    const notices = outagesOf(items);
    const now = notices.map((each) => each.textContent).join("\n");
    if (place.dataset.shown !== now) {
      place.dataset.shown = now;
      replace(place, notices);
    }
    return items;
  } catch (error) {
    if (!signal.aborted && /** @type {any} */ (error).status === undefined) {
      throw error;
    }
    return [];
  }
}

/** @param {import("../api.js").Container} container */
function textOf({ hostname, vmid, node, cluster, template, address }) {
  return [hostname, vmid, node, cluster, template, address].join(" ").toLowerCase();
}

function newLink() {
  return h("a", { class: "button primary", href: "#/new" }, icon("plus"), "New container");
}

/**
 * @param {import("../api.js").Container} container
 * @param {boolean} areSeveral whether there are several clusters: names and VMIDs may repeat then
 */
function row(container, areSeveral) {
  const links = isLive(container) ? (container.services ?? []).filter((each) => each.url && !each.is_system) : [];
  return h("tr", { "data-key": container.id },
    h("th", { scope: "row" },
      h("a", { href: `#/containers/${container.id}` }, container.hostname),
      h("span", { class: "vmid" }, container.vmid)),
    cell("State", h("span", { class: "badges" }, stateBadges(container))),
    cell("Address", container.address ? h("code", null, container.address) : "–"),
    cell("Services", links.length
      ? links.map((each) => h("div", { class: "service" }, webLink(/** @type {string} */ (each.url), true)))
      : "–"),
    cell("Template", container.template ?? "–"),
    cell("Node", container.node, areSeveral && h("div", { class: "muted" }, container.cluster)));
}

/** @param {import("../api.js").Container} container */
function stateBadges(container) {
  const isBusy = container.lifecycle === "creating" || container.lifecycle === "deleting";
  const state = container.lifecycle === "ready" ? powerBadge(container) : badge(container.lifecycle);
  const warnings = (container.warnings ?? []).map((warning) =>
    h("span", { class: "badge warn", title: warningWords(warning) }, warning));
  return [
    state,
    isBusy && container.job && h("a", { href: `#/jobs/${container.job}` }, "Follow",
      h("span", { class: "hidden" }, ` ${container.hostname}`)),
    ...warnings,
  ];
}

/**
 * @param {string} label shown beside the value where the table is narrow
 * @param {...any} children
 */
function cell(label, ...children) {
  return h("td", { "data-label": label }, h("div", null, children));
}
