/** Signing in with the bootstrap secret: as a page, or over a view that goes on afterwards. */

import { request } from "../api.js";
import { ROOT, h, replace } from "../dom.js";
import { problemBox } from "../parts.js";

/**
 * @param {(session: any) => void} signedIn
 * @returns {import("../router.js").View}
 */
export function signInView(signedIn) {
  return (page, { signal }) => {
    replace(page, h("div", { class: "sign-in" },
      h("img", { src: `${ROOT}assets/icon.svg`, alt: "", width: "56", height: "56" }),
      h("h1", null, "Slipway"),
      h("p", { class: "muted" }, "Containers on Proxmox, ready to use."),
      secretForm(signedIn, signal)));
    focusSecret(page);
  };
}

/**
 * Ask for the secret over the view that is shown, which keeps what was typed into it.
 *
 * @param {(session: any) => void} signedIn
 */
export function signInDialog(signedIn) {
  const over = new AbortController();
  const close = (/** @type {any} */ session) => {
    over.abort();
    // Closing gives the focus back to where it was.
    dialog.close();
    dialog.remove();
    signedIn(session);
  };
  const dialog = h("dialog", { "aria-labelledby": "again-title", closedby: "none" },
    h("h2", { id: "again-title" }, "Your session has ended"),
    h("p", { class: "muted" }, "Sign in again to go on where you were."),
    secretForm(close, over.signal));
  // Without a session there is nothing to go back to.
  dialog.addEventListener("cancel", (/** @type {Event} */ event) => event.preventDefault());
  dialog.addEventListener("close", () => over.signal.aborted || dialog.showModal());
  document.body.append(dialog);
  dialog.showModal();
  focusSecret(dialog);
}

/** @param {Element} place */
function focusSecret(place) {
  /** @type {HTMLElement | null} */ (place.querySelector("#secret"))?.focus();
}

/**
 * @param {(session: any) => void} signedIn
 * @param {AbortSignal} signal
 */
function secretForm(signedIn, signal) {
  const outage = h("div");
  const secret = h("input", {
    id: "secret", name: "secret", type: "password", autocomplete: "current-password", required: true,
    "aria-describedby": "secret-hint",
  });
  const button = h("button", { type: "submit", class: "button primary wide" }, "Sign in");
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    button.disabled = true;
    replace(outage);
    try {
      signedIn(await request("POST", "/api/v1/session", { body: { secret: secret.value.trim() }, signal }));
    } catch (error) {
      if (!signal.aborted) {
        replace(outage, problemBox(error));
        button.disabled = false;
        secret.select();
      }
    }
  };
  return h("form", { class: "card form", onsubmit: submit },
    // For password managers, which file a secret under a name.
    h("input", { type: "text", name: "username", value: "bootstrap", autocomplete: "username", hidden: true }),
    h("label", { for: "secret" }, "Secret"), secret,
    h("p", { class: "hint", id: "secret-hint" },
      "It was made at the first start. ", h("code", null, "slipway up"), " prints the path of the file it lies in."),
    outage, button);
}
