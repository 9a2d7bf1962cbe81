/** All clusters and their nodes: what they have, when they were last seen, what is wrong and what to do. */

import { list } from "../api.js";
import { h, replace } from "../dom.js";
import { followFleet, inTurn } from "../live.js";
import { agedBadge, isFresh, outagesOf } from "../looks.js";
import { badge, card, empty, facts, loading, problemBox, when } from "../parts.js";
import { withFocus } from "../rows.js";
import { ago, bytes, timeOf } from "../words.js";

const MOST = 100;

/**
 * @param {(state: string) => void} onState
 * @returns {import("../router.js").View}
 */
export function clustersView(onState) {
  return async (page, { signal }) => {
    const outage = h("div");
    const body = h("div", { class: "parts" }, loading());
    replace(page, h("div", { class: "head" }, h("h1", null, "Clusters")), outage, body);
    let shown = "";
    const load = async () => {
      const { items } = await list("/api/v1/clusters", { most: MOST, signal });
      const now = JSON.stringify([items, items.map(({ looked_at: at }) => ago(at ?? ""))]);
      replace(outage);
      if (now !== shown) {
        shown = now;
        withFocus(body, () => replace(body, items.length ? items.map(clusterPart) : none()));
      }
    };
    const refresh = inTurn(() => load().catch((error) => {
      if (!signal.aborted) {
        replace(outage, problemBox(error, { retry: refresh }));
      }
    }), signal);

    await load();
    followFleet(refresh, { signal, onState });
  };
}

function none() {
  return empty("No clusters yet", "Let a node make a token (infra/proxmox/make-token.sh) and add its cluster.");
}

/** @param {import("../api.js").Cluster} cluster */
function clusterPart(cluster) {
  const { name, endpoint, endpoints = [], version, looked_at: at, nodes = [] } = cluster;
  return h("div", { class: "part" },
    outagesOf([cluster]),
    card(h("span", { class: "head-title" }, name, " ", cluster.outage ? badge("outage", "bad") : ""),
      facts([
        ["Endpoint", h("code", null, [endpoint, ...endpoints].join(", "))],
        ["Proxmox VE", version],
        ["Last seen", at && when(at)],
      ]),
      nodeTable(name, nodes, cluster.in_maintenance ?? [])));
}

/**
 * @param {string} cluster
 * @param {import("../api.js").ClusterNode[]} nodes
 * @param {string[]} in_maintenance
 */
function nodeTable(cluster, nodes, in_maintenance) {
  const heads = ["Node", "State", "Cores", "Memory", "SSH", "Free for disks"];
  return h("table", { class: "table" },
    h("caption", { class: "hidden" }, `Nodes of ${cluster}`),
    h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, nodes.map((node) => h("tr", { "data-key": node.node },
      h("th", { scope: "row" }, node.node),
      cell("State", h("span", { class: "badges" }, stateOf(node), in_maintenance.includes(node.node) && badge("maintenance", "busy"))),
      cell("Cores", node.cores ?? "–"),
      cell("Memory", node.memory_bytes ? bytes(node.memory_bytes) : "–"),
      cell("SSH", node.is_ssh_usable ? "usable" : node.ssh_problem ?? "not usable"),
      cell("Free for disks", roomOf(node))))));
}

/** @param {import("../api.js").ClusterNode} node */
function stateOf(node) {
  if (!node.is_online) {
    return badge(node.looked_at ? `offline, last seen ${timeOf(node.looked_at)}` : "offline", "bad");
  }
  return isFresh(node) ? badge("online", "good") : agedBadge("online", node.looked_at);
}

/** @param {import("../api.js").ClusterNode} node */
function roomOf({ storages = [] }) {
  const disks = storages.filter((each) => each.content.includes("rootdir"));
  return disks.length === 0 ? "–" : disks.map((each) => h("div", null,
    each.name, ": ", each.free_bytes === null || each.free_bytes === undefined ? "not known" : bytes(each.free_bytes),
    each.total_bytes ? ` of ${bytes(each.total_bytes)}` : "", !each.is_active && " (not active)"));
}

/**
 * @param {string} label shown beside the value where the table is narrow
 * @param {any} child
 */
function cell(label, child) {
  return h("td", { "data-label": label }, h("div", null, child));
}
