/** What a change would do, shown before it is done. */

import { request } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { badge, problemBox } from "./parts.js";

/**
 * @typedef {Object} Change
 * @property {string} title as a question
 * @property {string} go what the button that goes on says
 * @property {string} path
 * @property {Record<string, any>} [body]
 * @property {boolean} [wantsHash] whether the change must name the plan that was shown
 * @property {AbortSignal} signal
 * @property {(accepted: any) => void} then
 */

/** @type {Record<string, string>} */
const EFFECTS = { done: "fine", acts: "will act", later: "depends", skipped: "left out", fails: "would fail" };
/** @type {Record<string, string>} */
const TONES = { acts: "busy", fails: "bad" };

/**
 * Ask for a change's plan, show it, and do it if one goes on.
 *
 * @param {Change} change
 */
export async function askWithPlan(change) {
  const { path, body = {}, signal } = change;
  const plan = await request("POST", `${path}${path.includes("?") ? "&" : "?"}plan=true`, { body, signal });
  const dialog = planDialog(plan, change);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  signal.addEventListener("abort", () => dialog.close());
  dialog.showModal();
}

/**
 * @param {any} plan
 * @param {Change} change
 * @returns {HTMLDialogElement}
 */
function planDialog(plan, { title, go, path, body = {}, wantsHash, signal, then }) {
  const { steps = [], destroys = [], warnings = [], items = [], container } = plan;
  const outage = h("div");
  const sure = h("button", { type: "submit", class: `button solid ${destroys.length ? "danger" : "primary"}` }, go);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    sure.disabled = true;
    try {
      const accepted = await request("POST", path, { body: wantsHash ? { ...body, plan: plan.hash } : body, signal });
      dialog.close();
      then(accepted);
    } catch (error) {
      sure.disabled = false;
      replace(outage, problemBox(error));
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "plan-title" },
    h("form", { class: "form", method: "dialog", onsubmit: submit },
      h("h2", { id: "plan-title" }, title),
      container?.cluster && h("p", { class: "muted" },
        `${container.hostname}, VMID ${container.vmid} of cluster ${container.cluster}`),
      notice("bad", "This will be lost for good:", destroys),
      notice("warn", "Know that:", warnings),
      steps.length > 0 && h("ol", { class: "plan" }, steps.map(stepItem)),
      items.length > 0 && h("p", { class: "muted" }, `It concerns ${items.length} containers.`),
      outage,
      h("div", { class: "form-end" },
        h("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, "Leave it"), sure)));
  return dialog;
}

/**
 * @param {string} tone
 * @param {string} title
 * @param {string[]} lines
 */
function notice(tone, title, lines) {
  return lines.length > 0 && h("div", { class: `notice ${tone}` }, icon("alert"),
    h("div", { class: "notice-body" }, h("p", { class: "notice-title" }, title),
      h("ul", null, lines.map((line) => h("li", null, line)))));
}

/** @param {{words: string, effect: string, message?: string | null, problem?: {message: string} | null}} step */
function stepItem({ words, effect, message, problem }) {
  return h("li", null, h("span", null, words, " ", badge(EFFECTS[effect] ?? effect, TONES[effect] ?? "plain")),
    (problem || message) && h("p", { class: "fine" }, problem?.message ?? message));
}
