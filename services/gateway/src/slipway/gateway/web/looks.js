/**
 * How old what is shown is, and what keeps it from being looked at: a state that was not seen just now is never
 * shown as if it were. Ages are those of the server's clock.
 */

import { serverNow } from "./api.js";
import { h, icon } from "./dom.js";
import { badge, when } from "./parts.js";
import { exactly, timeOf } from "./words.js";

/** What was looked at longer ago is the past. */
const FRESH_MS = 15000;
/** The same of what is known to be with an outage: looks stand still then, or come late. */
const FRESH_IN_OUTAGE_MS = 8000;

/** @typedef {import("./api.js").Outage} Outage */

/**
 * Whether something was seen just now; what is not known to be old counts as new.
 *
 * @param {{looked_at?: string | null, outage?: Outage | null}} seen
 */
export function isFresh({ looked_at: at, outage }) {
  return at ? serverNow() - Date.parse(at) <= (outage ? FRESH_IN_OUTAGE_MS : FRESH_MS) : !outage;
}

/**
 * Whether addresses in a container lead somewhere: it is ready, and ran when it was last looked at.
 *
 * @param {{lifecycle: string, power: string}} container
 */
export function isLive({ lifecycle, power }) {
  return lifecycle === "ready" && power === "running";
}

/**
 * Whether a container is not on its host any more: its node was looked at, and does not list it.
 *
 * @param {{power: string, outage?: Outage | null}} container
 */
export function isMissing({ power, outage }) {
  return power === "unknown" && !outage;
}

/**
 * A container's power as a badge: in colour only if it was seen just now.
 *
 * @param {import("./api.js").Container} container
 */
export function powerBadge(container) {
  return isFresh(container) ? badge(container.power) : agedBadge(container.power, container.looked_at);
}

/**
 * A state with the time when it was last so.
 *
 * @param {string} state
 * @param {string | null | undefined} at
 */
export function agedBadge(state, at) {
  return h("span", { class: "badge aged", title: at ? exactly(at) : "It has not been looked at yet." },
    at ? `${state}, last seen ${timeOf(at)}` : `${state}, not seen`);
}

/**
 * What is wrong, since when, and what to do about it.
 *
 * @param {Outage} outage
 * @param {any} [what] whose it is
 */
export function outageNotice({ code, since, message, remedy }, what) {
  return h("div", { class: "notice bad" }, icon("alert"),
    h("div", { class: "notice-body" },
      h("p", { class: "notice-title" }, what, what && ": ", message),
      h("p", null, remedy),
      h("p", { class: "fine" }, h("code", null, code), " · since ", when(since))));
}

/**
 * What is wrong with clusters and their nodes now.
 *
 * @param {import("./api.js").Cluster[]} clusters
 */
export function outagesOf(clusters) {
  return clusters.flatMap(({ name, outage, nodes = [] }) => [
    outage && outageNotice(outage, `Cluster ${name}`),
    ...nodes.map((node) => node.outage && node.outage.code !== outage?.code
      && outageNotice(node.outage, `Node ${node.node} of cluster ${name}`)),
  ]).filter(Boolean);
}
