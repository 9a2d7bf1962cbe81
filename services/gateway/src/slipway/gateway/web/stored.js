/** What a host keeps of a container, snapshots and backups, and its size: to be taken, put back and changed. */

import { request } from "./api.js";
import { h, replace } from "./dom.js";
import { Field, complaints, showErrors, showRefusal } from "./form.js";
import { card, problemBox, when } from "./parts.js";
import { askWithPlan } from "./plans.js";

/** @typedef {import("./api.js").Container} Container */
/** @typedef {(accepted: {job: {id: string}}) => void} Then shows the job */

/**
 * A form that asks for a change of a container; the job is then shown.
 *
 * @param {Field[]} fields
 * @param {{path: string, label: string, signal: AbortSignal, then: Then}} options
 */
function changeForm(fields, { path, label, signal, then }) {
  const outage = h("div");
  const button = h("button", { type: "submit", class: "button" }, label);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    replace(outage);
    if (showErrors(fields, complaints(fields)).isShown) {
      return;
    }
    const filled = fields.filter((field) => field.value !== "");
    const body = Object.fromEntries(filled.map(({ name, type, value }) => [name, type === "number" ? Number(value) : value]));
    button.disabled = true;
    try {
      then(await request("POST", path, { body, signal }));
      fields.forEach((field) => {
        field.value = "";
      });
    } catch (error) {
      showRefusal(fields, error, outage);
    }
    button.disabled = false;
  };
  return h("form", { class: "form change", novalidate: true, onsubmit: submit },
    h("div", { class: "trio" }, fields.map((field) => field.element)), outage, h("div", null, button));
}

/**
 * A card to change a container's size.
 *
 * @param {Container} container
 * @param {AbortSignal} signal
 * @param {Then} then
 */
export function sizeCard({ id, spec = {} }, signal, then) {
  const number = (/** @type {string} */ name, /** @type {string} */ label, unit = "") => new Field({
    name, label, unit, type: "number", placeholder: spec[name] ?? "", attributes: { min: "0", step: "any" },
  });
  const fields = [
    number("cores", "Cores"), number("memory", "Memory", "MiB"), number("swap", "Swap", "MiB"), number("disk", "Disk", "GiB"),
  ];
  const path = `/api/v1/containers/${encodeURIComponent(id)}/resize`;
  return card("Size", h("p", { class: "hint" }, "What is left empty stays. A disk only grows."),
    changeForm(fields, { path, label: "Resize", signal, then }));
}

/** Snapshots and backups of a container, read from its node. */
export class Stored {
  /**
   * @param {Container} container
   * @param {AbortSignal} signal
   * @param {Then} then
   */
  constructor({ id, hostname }, signal, then) {
    this.hostname = hostname;
    this.signal = signal;
    this.then = then;
    this.path = `/api/v1/containers/${encodeURIComponent(id)}`;
    this.snapshots = h("div");
    this.backups = h("div");
    this.outage = h("div");
    const name = new Field({
      name: "snapshot", label: "Name of a new snapshot", isRequired: true,
      attributes: { maxlength: "40", autocapitalize: "off", spellcheck: "false" },
    });
    this.element = h("div", { class: "part" },
      card("Snapshots", this.snapshots, this.outage,
        changeForm([name], { path: `${this.path}/snapshot`, label: "Take a snapshot", signal, then })),
      card("Backups", this.backups,
        changeForm([], { path: `${this.path}/backup`, label: "Back up now", signal, then })));
  }

  /** Read both from the node. */
  async load() {
    await Promise.all([
      this.#read("snapshots", this.snapshots, (each) => this.#snapshot(each)),
      this.#read("backups", this.backups, (each) => this.#backup(each)),
    ]);
  }

  /**
   * @param {string} what
   * @param {Element} place
   * @param {(each: any) => Element} row
   */
  async #read(what, place, row) {
    try {
      const { items, unread = [] } = await request("GET", `${this.path}/${what}`, { signal: this.signal });
      replace(place,
        items.length ? h("ul", { class: "rows" }, items.map(row)) : h("p", { class: "muted" }, `There are no ${what}.`),
        unread.length > 0 && h("p", { class: "fine" }, `Not read, since they are not active: ${unread.join(", ")}.`));
    } catch (error) {
      if (!this.signal.aborted) {
        replace(place, problemBox(error, { retry: () => this.load() }));
      }
    }
  }

  /** @param {{name: string, description?: string | null, at?: string | null}} snapshot */
  #snapshot({ name, description, at }) {
    return h("li", null, h("span", { class: "row-name" }, name),
      h("span", { class: "row-value muted" }, when(at), description && ` · ${description}`),
      h("span", { class: "row-actions" },
        this.#button("Roll back", name, "rollback", { snapshot: name }, `Roll ${this.hostname} back to ${name}?`),
        this.#button("Remove", name, "snapshot-delete", { snapshot: name }, `Remove the snapshot ${name}?`)));
  }

  /** @param {{volume: string, storage: string, size_bytes?: number, notes?: string | null, at?: string | null}} backup */
  #backup({ volume, storage, size_bytes: size, notes, at }) {
    const mib = size ? `${Math.max(1, Math.round(size / 1048576))} MiB on ` : "";
    return h("li", null, h("span", { class: "row-name", title: volume }, when(at)),
      h("span", { class: "row-value muted" }, `${mib}${storage}`, notes && ` · ${notes}`),
      h("span", { class: "row-actions" },
        this.#button("Restore", volume, "restore", { backup: volume }, `Put this backup in the place of ${this.hostname}?`)));
  }

  /**
   * A button that shows what would be done before it is.
   *
   * @param {string} label
   * @param {string} what for those who can't see where it stands
   * @param {string} verb
   * @param {Record<string, string>} body
   * @param {string} title
   */
  #button(label, what, verb, body, title) {
    const ask = async (/** @type {MouseEvent} */ event) => {
      const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
      button.disabled = true;
      replace(this.outage);
      try {
        await askWithPlan({ title, go: label, path: `${this.path}/${verb}`, body, signal: this.signal, then: this.then });
      } catch (error) {
        replace(this.outage, problemBox(error));
      }
      button.disabled = false;
    };
    return h("button", { type: "button", class: "button quiet small", onclick: ask }, label,
      h("span", { class: "hidden" }, ` ${what}`));
  }
}
