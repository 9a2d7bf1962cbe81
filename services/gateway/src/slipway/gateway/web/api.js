/**
 * The HTTP API, as the page needs it. Every failure is an `ApiProblem`; a lost session is announced to the whole page
 * by the event `signed-out` on `document`, and a new one of the same person by `signed-in`.
 */

import { ROOT } from "./dom.js";

/** @typedef {{field: string, message: string}} FieldError */

/**
 * @typedef {Object} Service
 * @property {string} name
 * @property {number | null} [port]
 * @property {string | null} [url]
 * @property {boolean} [is_system]
 */

/** @typedef {{id: string, name: string}} Credential */

/** @typedef {{code: string, since: string, message: string, remedy: string}} Outage */

/** @typedef {{now?: string | null, after_restart?: string | null}} PendingChange */

/**
 * @typedef {Object} ClusterNode
 * @property {string} node
 * @property {boolean} is_online
 * @property {number | null} [cores]
 * @property {number | null} [memory_bytes]
 * @property {{name: string, content: string[], is_active?: boolean, free_bytes?: number | null, total_bytes?: number | null}[]} [storages]
 * @property {boolean} [is_ssh_usable]
 * @property {string | null} [ssh_problem]
 * @property {string | null} [looked_at]
 * @property {Outage | null} [outage]
 */

/**
 * @typedef {Object} Cluster
 * @property {string} id
 * @property {string} name
 * @property {string} endpoint
 * @property {string[]} [endpoints]
 * @property {string} version
 * @property {ClusterNode[]} [nodes]
 * @property {string[]} [in_maintenance]
 * @property {string | null} [looked_at]
 * @property {Outage | null} [outage]
 */

/**
 * @typedef {Object} Container
 * @property {string} id
 * @property {number} vmid
 * @property {string} hostname
 * @property {string} cluster
 * @property {string} node
 * @property {string | null} [template]
 * @property {string | null} [template_version]
 * @property {string} lifecycle
 * @property {string} power
 * @property {string | null} [looked_at] when it was last seen on its host
 * @property {Outage | null} [outage] why it can't be looked at now
 * @property {Record<string, PendingChange>} [pending] what changes at its next start
 * @property {string | null} [address]
 * @property {string[]} [warnings]
 * @property {Service[]} [services]
 * @property {Credential[]} [credentials]
 * @property {string | null} [job]
 * @property {{cores?: number, memory?: number, disk?: number}} [spec]
 * @property {string} [created_at]
 */

/**
 * @typedef {Object} Job
 * @property {string} id
 * @property {string} kind
 * @property {string} state
 * @property {string | null} [phase]
 * @property {number} [percent]
 * @property {string} container
 * @property {number} vmid
 * @property {string} hostname
 * @property {string | null} [cluster] its name
 * @property {Record<string, any>} [args]
 * @property {string | null} [items_kind] of a batch, whose container, vmid, hostname and cluster are null
 * @property {Record<string, number> | null} [counts] of a batch
 * @property {string | null} [parent]
 * @property {string} [actor]
 * @property {string | null} [retry_of]
 * @property {string[]} [warnings]
 * @property {ProblemBody | null} [error]
 * @property {string[]} [actions] what makes sense now
 * @property {string} [created_at]
 * @property {string | null} [started_at]
 * @property {string | null} [finished_at]
 */

/**
 * @typedef {Object} ProblemBody
 * @property {string} [code]
 * @property {string} [message]
 * @property {FieldError[]} [errors]
 * @property {Record<string, string>} [details]
 * @property {string} [correlation_id]
 */

const AGAIN_MS = 300;
const MOST_LOOKS = 20;

/** States of a job that has ended. */
export const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** What went wrong, in words for people, with the fields it concerns. */
export class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {ProblemBody} body
   */
  constructor(status, body) {
    super(body.message || `Slipway answered with status ${status} and no explanation.`);
    this.status = status;
    this.code = body.code ?? "";
    this.errors = body.errors ?? [];
    this.details = body.details ?? {};
    this.correlationId = body.correlation_id ?? "";
  }
}

/**
 * Ask the API; the answer's content, null when it has none.
 *
 * @param {string} method
 * @param {string} path
 * @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function request(method, path, { body, headers = {}, signal } = {}) {
  const { answer, text } = await ask(path, {
    method,
    signal,
    cache: "no-store",
    headers: {
      Accept: "application/json",
      ...(method === "GET" ? {} : { "X-Slipway-Request": "1" }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const content = read(text);
  if (answer.ok) {
    return content;
  }
  if (answer.status === 401 && path !== "/api/v1/session") {
    document.dispatchEvent(new CustomEvent("signed-out"));
    throw new ApiProblem(401, { ...content, message: "The session had ended before this was done. Do it once more." });
  }
  throw new ApiProblem(answer.status, content ?? {});
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @param {boolean} [isFirst]
 * @returns {Promise<{answer: Response, text: string}>}
 */
async function ask(path, init, isFirst = true) {
  try {
    const answer = await fetch(`${ROOT}${path.slice(1)}`, init);
    keepTime(answer.headers.get("Date"));
    return { answer, text: await answer.text() };
  } catch (error) {
    if (init.signal?.aborted) {
      throw error;
    }
    if (isFirst && init.method === "GET") {
      // A browser gives up its requests when the machine's network changes; to read once more does no harm.
      await pause();
      return ask(path, init, false);
    }
    throw new ApiProblem(0, {
      code: "unreachable",
      message: "Slipway can't be reached. Check that it runs and that this machine is online, then try again.",
    });
  }
}

/** How far the server's clock is ahead of this machine's. */
let aheadMs = 0;

/** @param {string | null} date what an answer says of its time */
function keepTime(date) {
  const at = Date.parse(date ?? "");
  if (!Number.isNaN(at)) {
    aheadMs = at - Date.now();
  }
}

/** What time it is by the server's clock: its answers have whole seconds. */
export function serverNow() {
  return Date.now() + aheadMs;
}

function pause() {
  return new Promise((resume) => setTimeout(resume, AGAIN_MS));
}

/**
 * A job whose log has ended, as it is stored: the record follows the log by a moment.
 *
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Job>}
 */
export async function endedJob(id, signal) {
  for (let looks = 1; ; looks += 1) {
    const job = await request("GET", `/api/v1/jobs/${encodeURIComponent(id)}`, { signal });
    if (ENDED.has(job.state)) {
      return job;
    }
    if (looks === MOST_LOOKS) {
      return { ...job, actions: [] };
    }
    await pause();
  }
}

/**
 * @param {string} text
 * @returns {any}
 */
function read(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/**
 * A list, page by page, until it ends or there are enough.
 *
 * @param {string} path without a query
 * @param {{most: number, query?: Record<string, string>, signal?: AbortSignal}} options
 * @returns {Promise<{items: any[], hasMore: boolean}>}
 */
export async function list(path, { most, query = {}, signal }) {
  const items = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    const limit = String(Math.min(500, most - items.length));
    const asked = new URLSearchParams({ ...query, limit, ...(cursor ? { cursor } : {}) });
    const page = await request("GET", `${path}?${asked}`, { signal });
    items.push(...page.items);
    cursor = page.next ?? null;
  } while (cursor && items.length < most);
  return { items, hasMore: cursor !== null };
}

/**
 * A fresh Idempotency-Key; `randomUUID` would need HTTPS.
 *
 * @returns {string}
 */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
