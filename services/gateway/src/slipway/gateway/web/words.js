/** Moments, spans, sizes and jobs as people read them. */

import { KINDS } from "./job-kinds.js";

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const EXACT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });

const TIME = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hour12: false });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

/**
 * How long ago: "3 minutes ago".
 *
 * @param {string} moment
 * @returns {string}
 */
export function ago(moment) {
  const seconds = (Date.parse(moment) - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) {
      return RELATIVE.format(Math.round(seconds / size), unit);
    }
  }
  return Math.abs(seconds) < 10 ? "just now" : RELATIVE.format(Math.round(seconds), "second");
}

/**
 * @param {string} moment
 * @returns {string}
 */
export function exactly(moment) {
  return EXACT.format(new Date(moment));
}

/**
 * A moment of today as its time, an older one with its day.
 *
 * @param {string} moment
 * @returns {string}
 */
export function timeOf(moment) {
  const at = new Date(moment);
  return at.toDateString() === new Date().toDateString() ? TIME.format(at) : EXACT.format(at);
}

/**
 * A span: "8 s", "2 min 05 s".
 *
 * @param {number} seconds
 * @returns {string}
 */
export function span(seconds) {
  if (seconds < 10 && !Number.isInteger(seconds)) {
    return `${seconds.toFixed(1)} s`;
  }
  const whole = Math.round(seconds);
  if (whole < 60) {
    return `${whole} s`;
  }
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${String(whole % 60).padStart(2, "0")} s`
    : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/**
 * MiB as people say it.
 *
 * @param {number} mib
 * @returns {string}
 */
export function memory(mib) {
  return mib >= 1024 && mib % 256 === 0 ? `${mib / 1024} GiB` : `${mib} MiB`;
}

/**
 * Bytes as people say them.
 *
 * @param {number} count
 * @returns {string}
 */
export function bytes(count) {
  const [unit, size] = UNITS_OF_BYTES.find(([, each]) => count >= each) ?? ["MiB", 2 ** 20];
  return `${Number((count / size).toFixed(1))} ${unit}`;
}

/** @type {[string, number][]} */
const UNITS_OF_BYTES = [["TiB", 2 ** 40], ["GiB", 2 ** 30]];

/** @type {Record<string, string>} */
const WARNINGS = {
  "discovery-pending": "Slipway has not looked inside yet; address, services and passwords appear when it has.",
  "config-unread": "Its settings may be others on its host by now; they are read in a moment.",
  "hostname-taken": "On its host it has a new name, which another container of the cluster has here: rename one.",
  "container-lost": "A restore failed after Proxmox had removed it. Restore another backup, or delete it.",
};

/**
 * @param {string} warning
 * @returns {string}
 */
export function warningWords(warning) {
  return WARNINGS[warning] ?? warning;
}

/**
 * @param {string} kind
 * @returns {string}
 */
export function kindWords(kind) {
  return KINDS[kind]?.label ?? kind;
}

/**
 * What a job is called; a batch by what it does with how many.
 *
 * @param {import("./api.js").Job} job
 * @returns {string}
 */
export function jobTitle(job) {
  if (job.kind === "batch") {
    return `${kindWords(job.items_kind ?? "")} ${job.counts?.total ?? 0} containers`;
  }
  return `${kindWords(job.kind)} ${job.hostname ?? job.args?.template ?? ""}`;
}
