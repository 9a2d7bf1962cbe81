/** All containers, live. */

import { list } from "../api.js";
import { h, icon, replace } from "../dom.js";
import { followFleet } from "../live.js";
import { badge, empty, loading, problemBox, webLink } from "../parts.js";
import { warningWords } from "../words.js";

const AT_ONCE = 200;

/**
 * @param {(state: string) => void} tellLive
 * @returns {import("../router.js").View}
 */
export function containersView(tellLive) {
  return async (page, { signal }) => {
    let wanted = AT_ONCE;
    /** @type {{items: import("../api.js").Container[], hasMore: boolean} | null} */
    let known = null;
    const body = h("div", null, loading());
    const filter = h("input", {
      type: "search", id: "filter", placeholder: "Filter", "aria-label": "Filter containers", autocomplete: "off",
      oninput: () => draw(),
    });
    const tools = h("div", { class: "head-tools", hidden: true }, filter, newLink());
    replace(page, h("div", { class: "head" }, h("h1", null, "Containers"), tools), body);

    const draw = () => {
      if (known) {
        tools.hidden = known.items.length === 0;
        replace(body, content(known, filter.value, more));
      }
    };
    const more = () => {
      wanted += AT_ONCE;
      load();
    };
    let isLoading = false;
    let isStale = false;
    const load = async () => {
      if (isLoading) {
        isStale = true;
        return;
      }
      isLoading = true;
      try {
        known = await list("/api/v1/containers", { wanted, signal });
        draw();
      } catch (error) {
        if (!signal.aborted) {
          replace(body, problemBox(error, { retry: load }));
        }
      } finally {
        isLoading = false;
      }
      if (isStale && !signal.aborted) {
        isStale = false;
        load();
      }
    };

    await load();
    followFleet(load, { signal, tell: tellLive });
  };
}

function newLink() {
  return h("a", { class: "button primary", href: "#/new" }, icon("plus"), "New container");
}

/**
 * @param {{items: import("../api.js").Container[], hasMore: boolean}} known
 * @param {string} filter
 * @param {() => void} more
 */
function content({ items, hasMore }, filter, more) {
  if (!items.length) {
    return empty("No containers yet", "Choose a template and watch your first one come up.", newLink());
  }
  const words = filter.trim().toLowerCase();
  const shown = items.filter((each) =>
    [each.hostname, each.vmid, each.node, each.template, each.address].join(" ").toLowerCase().includes(words));
  return [
    shown.length ? table(shown) : h("p", { class: "muted" }, `None of ${items.length} matches “${filter}”.`),
    hasMore && h("button", { type: "button", class: "button", onclick: more }, "Show more"),
  ];
}

/** @param {import("../api.js").Container[]} containers */
function table(containers) {
  const heads = ["Hostname", "State", "Address", "Services", "Template", "Node"];
  return h("div", { class: "card flush" },
    h("table", { class: "table" },
      h("caption", { class: "hidden" }, "Containers"),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, containers.map(row))));
}

/** @param {import("../api.js").Container} container */
function row(container) {
  const links = (container.services ?? []).filter((each) => each.url && !each.is_system);
  return h("tr", { "data-container": container.id },
    h("th", { scope: "row" },
      h("a", { href: `#/containers/${container.id}` }, container.hostname),
      h("span", { class: "vmid" }, container.vmid)),
    cell("State", h("span", { class: "badges" }, stateBadges(container))),
    cell("Address", container.address ? h("code", null, container.address) : "–"),
    cell("Services", links.length
      ? links.map((each) => h("div", { class: "service" }, webLink(/** @type {string} */ (each.url))))
      : "–"),
    cell("Template", container.template ?? "–"),
    cell("Node", container.node));
}

/** @param {import("../api.js").Container} container */
function stateBadges(container) {
  const isBusy = container.lifecycle === "creating" || container.lifecycle === "deleting";
  const state = container.lifecycle === "ready" ? badge(container.power) : badge(container.lifecycle);
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
