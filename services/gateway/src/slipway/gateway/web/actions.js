/** What one does to a container or a job: delete it, with the hostname typed; do it again. */

import { request } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { KINDS } from "./job-kinds.js";
import { isMissing } from "./looks.js";
import { problemBox } from "./parts.js";
import { askWithPlan } from "./plans.js";

/** The code of the problem that a host can't be reached. */
const AWAY = "proxmox.unreachable";
/** The code of the problem that what destroys must have been shown. */
const PLAN_NEEDED = "plan.needed";

/**
 * The buttons for what makes sense with a job now, as it says itself.
 *
 * @param {import("./api.js").Job} job
 * @param {Element} outage where they say what went wrong
 * @param {AbortSignal} signal
 */
export function jobButtons(job, outage, signal) {
  return (job.actions ?? []).map((action) => {
    switch (action) {
      case "cancel":
        return [
          cancelButton(job.id, outage, signal), KINDS[job.kind]?.creates && undoButton(job.id, outage, signal),
        ];
      case "retry":
        return retryButton(job, outage, signal);
      case "unlock":
        return job.container && unlockButton(job.container, outage, signal);
      case "restore":
        return job.container && h("a", { class: "button primary", href: `#/containers/${job.container}` },
          "Restore another backup");
      case "delete":
        return job.container && deleteButton({ id: job.container, hostname: job.hostname, vmid: job.vmid }, signal);
      default:
        // What a newer Slipway can do more.
        return null;
    }
  });
}

/**
 * A button that asks for the hostname before it deletes; the deletion is a job, which is then shown.
 *
 * @param {{id: string, hostname: string, vmid: number, node?: string, cluster?: string}} container
 * @param {AbortSignal} signal
 */
export function deleteButton(container, signal) {
  const open = () => {
    const dialog = deleteDialog(container, signal);
    document.body.append(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    signal.addEventListener("abort", () => dialog.close());
    dialog.showModal();
  };
  return h("button", { type: "button", class: "button danger", onclick: open }, icon("trash"), "Delete");
}

/**
 * @param {{id: string, hostname: string, vmid: number, node?: string, cluster?: string}} container
 * @param {AbortSignal} signal
 * @returns {HTMLDialogElement}
 */
function deleteDialog(container, signal) {
  const outage = h("div");
  const typed = h("input", {
    id: "delete-name", name: "hostname", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
  });
  const sure = h("button", { type: "submit", class: "button danger solid", disabled: true }, "Delete for good");
  typed.addEventListener("input", () => {
    sure.disabled = typed.value.trim() !== container.hostname;
  });
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    sure.disabled = true;
    try {
      const accepted = await request("DELETE", `/api/v1/containers/${encodeURIComponent(container.id)}`, { signal });
      dialog.close();
      location.hash = `#/jobs/${accepted.job.id}`;
    } catch (error) {
      sure.disabled = false;
      replace(outage, problemBox(error), error.code === AWAY && forgetButton(container, outage, signal, dialog));
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "delete-title" },
    h("form", { class: "form", method: "dialog", onsubmit: submit },
      h("h2", { id: "delete-title" }, `Delete ${container.hostname}?`),
      h("p", null, `The container (VMID ${container.vmid}${placeOf(container)}) and all that is on its disk will be gone. `,
        "This can't be undone."),
      h("label", { for: "delete-name" }, "Type ", h("strong", null, container.hostname), " to go on"),
      typed, outage,
      h("div", { class: "form-end" },
        h("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, "Keep it"), sure)));
  return dialog;
}

/**
 * Where a container is, as far as that is known: names and VMIDs repeat from cluster to cluster.
 *
 * @param {{node?: string, cluster?: string}} container
 */
function placeOf({ node, cluster }) {
  return cluster ? ` on node ${node} of cluster ${cluster}` : "";
}

/**
 * A button that drops the record of a container whose host is gone.
 *
 * @param {{id: string}} container
 * @param {Element} outage
 * @param {AbortSignal} signal
 * @param {HTMLDialogElement} dialog closed when it is done
 */
function forgetButton(container, outage, signal, dialog) {
  const path = `/api/v1/containers/${encodeURIComponent(container.id)}/forget`;
  return askingButton("Forget it", { path, outage, signal }, () => {
    dialog.close();
    location.hash = "#/containers";
  });
}

/**
 * A button that asks for something once; what went wrong is said beside it.
 *
 * @param {string} label
 * @param {{path: string, outage: Element, signal: AbortSignal, look?: string, image?: string}} options
 * @param {(answer: any) => void} then
 */
function askingButton(label, { path, outage, signal, look = "", image }, then) {
  const ask = async (/** @type {MouseEvent} */ event) => {
    const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
    button.disabled = true;
    replace(outage);
    try {
      await asked(label, { path, signal }, then);
    } catch (error) {
      replace(outage, problemBox(error));
    }
    button.disabled = false;
  };
  return h("button", { type: "button", class: `button ${look}`, onclick: ask }, image && icon(image), label);
}

/**
 * Ask for something; what must be shown beforehand is.
 *
 * @param {string} label
 * @param {{path: string, signal: AbortSignal}} options
 * @param {(answer: any) => void} then
 */
async function asked(label, { path, signal }, then) {
  try {
    then(await request("POST", path, { signal }));
  } catch (error) {
    if (error.code !== PLAN_NEEDED) {
      throw error;
    }
    await askWithPlan({ title: `${label}?`, go: label, path, wantsHash: true, signal, then });
  }
}

/**
 * Go where a job is followed.
 *
 * @param {{job: {id: string}}} accepted
 */
export function showJob(accepted) {
  location.hash = `#/jobs/${accepted.job.id}`;
}

/**
 * A button that does a failed job again; the new job is then shown. What destroys is asked for once more.
 *
 * @param {import("./api.js").Job} job
 * @param {Element} outage where it says what went wrong
 * @param {AbortSignal} signal
 */
function retryButton(job, outage, signal) {
  const path = `/api/v1/jobs/${encodeURIComponent(job.id)}/retry`;
  if (KINDS[job.kind]?.destroys) {
    const change = { title: "Do it once more?", go: "Retry", path, signal, then: showJob };
    return plannedButton("Retry", change, outage, "primary");
  }
  return askingButton("Retry", { path, outage, signal, look: "primary", image: "retry" }, showJob);
}

/**
 * A button that takes away a lock which a killed task has left, once its plan was seen.
 *
 * @param {string} container
 * @param {Element} outage where it says what went wrong
 * @param {AbortSignal} signal
 */
function unlockButton(container, outage, signal) {
  const path = `/api/v1/containers/${encodeURIComponent(container)}/unlock`;
  return plannedButton("Unlock", { title: "Take the lock away?", go: "Unlock", path, signal, then: showJob }, outage);
}

/**
 * A button that shows the plan of a change, which is then done or left.
 *
 * @param {string} label
 * @param {import("./plans.js").Change} change
 * @param {Element} outage where it says what went wrong
 * @param {string} [look]
 */
export function plannedButton(label, change, outage, look = "danger") {
  const open = async (/** @type {MouseEvent} */ event) => {
    const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
    button.disabled = true;
    replace(outage);
    try {
      await askWithPlan(change);
    } catch (error) {
      replace(outage, problemBox(error));
    }
    button.disabled = false;
  };
  return h("button", { type: "button", class: `button ${look}`, onclick: open }, label);
}

/**
 * A button that ends a job; its log then says so by itself.
 *
 * @param {string} job
 * @param {Element} outage where it says what went wrong
 * @param {AbortSignal} signal
 */
function cancelButton(job, outage, signal) {
  const path = `/api/v1/jobs/${encodeURIComponent(job)}/cancel`;
  return askingButton("Cancel", { path, outage, signal }, () => {});
}

/**
 * A button that ends a creation and removes what it has made.
 *
 * @param {string} job
 * @param {Element} outage where it says what went wrong
 * @param {AbortSignal} signal
 */
function undoButton(job, outage, signal) {
  const path = `/api/v1/jobs/${encodeURIComponent(job)}/cancel?destroy=true`;
  const change = { title: "Cancel, and remove what was made?", go: "Cancel and delete", path, signal, then: () => {} };
  return plannedButton("Cancel and delete", change, outage);
}

/**
 * The buttons for a container's power that make sense now; what interrupts it is asked for once more.
 *
 * @param {import("./api.js").Container} container
 * @param {Element} outage where they say what went wrong
 * @param {AbortSignal} signal
 * @param {(accepted: {job: {id: string}}) => void} then shows the job
 */
export function powerButtons(container, outage, signal, then) {
  if (container.warnings.includes("container-lost") || isMissing(container)) {
    return []; // Nothing is there that could start.
  }
  const verbs = container.power === "running" ? ["Restart", "Shutdown", "Stop"] : ["Start"];
  return verbs.map((verb) => {
    const path = `/api/v1/containers/${encodeURIComponent(container.id)}/${verb.toLowerCase()}`;
    return verb === "Start"
      ? askingButton(verb, { path, outage, signal }, then)
      : plannedButton(verb, { title: `${verb} ${container.hostname}?`, go: verb, path, signal, then }, outage, "");
  });
}
