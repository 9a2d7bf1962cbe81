/** Credentials of a container: named at once, their values only when asked for, and not for long. */

import { request } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { copyButton, problemBox } from "./parts.js";

const SHOWN_MS = 30000;
const DOTS = "••••••••••••";

/**
 * @param {import("./api.js").Container} container
 * @param {AbortSignal} signal
 */
export function credentialList(container, signal) {
  const credentials = container.credentials ?? [];
  if (!credentials.length) {
    return h("p", { class: "muted" }, "No credentials are known.");
  }
  return h("ul", { class: "rows" }, credentials.map((each) => credentialRow(container.id, each, signal)));
}

/**
 * @param {string} container
 * @param {import("./api.js").Credential} credential
 * @param {AbortSignal} signal
 */
function credentialRow(container, credential, signal) {
  const value = h("code", { class: "secret" }, DOTS);
  const actions = h("span", { class: "row-actions" });
  const outage = h("div", { class: "row-outage" });
  let timer = 0;

  const hide = () => {
    clearTimeout(timer);
    value.textContent = DOTS;
    const button = h("button", { type: "button", class: "button quiet small", onclick: reveal },
      icon("eye"), "Reveal", h("span", { class: "hidden" }, ` ${credential.name}`));
    replace(actions, button);
    return button;
  };
  const show = (/** @type {string} */ text) => {
    value.textContent = text;
    const button = h("button", { type: "button", class: "button quiet small", onclick: () => hide().focus() }, "Hide");
    replace(actions, copyButton(() => text, credential.name), button);
    button.focus();
    timer = window.setTimeout(hide, SHOWN_MS);
  };
  const reveal = async (/** @type {MouseEvent} */ event) => {
    /** @type {HTMLButtonElement} */ (event.currentTarget).disabled = true;
    replace(outage);
    const path = `/api/v1/containers/${encodeURIComponent(container)}/credentials/`;
    try {
      const revealed = await request("POST", `${path}${encodeURIComponent(credential.id)}/reveal`, { signal });
      show(revealed.value);
    } catch (error) {
      if (!signal.aborted) {
        hide();
        replace(outage, problemBox(error));
      }
    }
  };

  signal.addEventListener("abort", hide);
  document.addEventListener("signed-out", hide, { signal });
  hide();
  return h("li", null, h("span", { class: "row-name" }, icon("key"), credential.name),
    h("span", { class: "row-value" }, value), actions, outage);
}
