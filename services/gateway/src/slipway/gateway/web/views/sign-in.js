/** Signing in with the bootstrap secret. */

import { request } from "../api.js";
import { h, replace } from "../dom.js";
import { problemBox } from "../parts.js";

/**
 * @param {(session: any) => void} signedIn
 * @param {string} [why] shown above the form
 * @returns {import("../router.js").View}
 */
export function signInView(signedIn, why = "") {
  return (page, { signal }) => {
    const trouble = h("div", { "aria-live": "polite" }, why && h("p", { class: "notice info" }, why));
    const secret = h("input", {
      id: "secret", name: "secret", type: "password", autocomplete: "current-password", required: true,
      "aria-describedby": "secret-hint",
    });
    const button = h("button", { type: "submit", class: "button primary wide" }, "Sign in");
    const submit = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      button.disabled = true;
      replace(trouble);
      try {
        signedIn(await request("POST", "/api/v1/session", { body: { secret: secret.value.trim() }, signal }));
      } catch (error) {
        if (!signal.aborted) {
          replace(trouble, problemBox(error));
          button.disabled = false;
          secret.select();
        }
      }
    };
    replace(page, h("div", { class: "sign-in" },
      h("img", { src: "/assets/icon.svg", alt: "", width: "56", height: "56" }),
      h("h1", null, "Slipway"),
      h("p", { class: "muted" }, "Containers on Proxmox, ready to use."),
      h("form", { class: "card form", onsubmit: submit },
        // For password managers, which file a secret under a name.
        h("input", { type: "text", name: "username", value: "bootstrap", autocomplete: "username", hidden: true }),
        h("label", { for: "secret" }, "Secret"), secret,
        h("p", { class: "hint", id: "secret-hint" },
          "It was made at the first start. ", h("code", null, "slipway up"), " prints the path of the file it lies in."),
        trouble, button)));
    secret.focus();
  };
}
