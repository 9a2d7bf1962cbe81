/** Labelled inputs, and errors beside the input they concern. */

import { h, icon, replace } from "./dom.js";
import { partsOf, problemBox } from "./parts.js";

/** @typedef {import("./api.js").FieldError} FieldError */

/**
 * @typedef {Object} FieldOptions
 * @property {string} name as the API calls it, with dots: `variables.title`
 * @property {string} label
 * @property {string} [type]
 * @property {string} [hint]
 * @property {string} [unit]
 * @property {any} [placeholder]
 * @property {boolean} [isRequired]
 * @property {string[]} [choices] what there is to choose from; without them anything can be typed
 * @property {Record<string, any>} [attributes]
 */

export class Field {
  /** @param {FieldOptions} options */
  constructor({ name, label, type = "text", hint = "", unit = "", placeholder = "", isRequired = false, choices, attributes = {} }) {
    const id = `field-${name.replaceAll(".", "-")}`;
    this.name = name;
    this.type = type;
    this.isRequired = isRequired;
    const common = {
      id, name, "aria-describedby": `${id}-hint ${id}-error`, "aria-required": isRequired ? "true" : null,
      ...attributes, oninput: () => this.showError(""),
    };
    this.input = choices
      ? h("select", common, ["", ...choices].map((each) => h("option", { value: each }, each || placeholder)))
      : h("input", { type, placeholder, autocomplete: "off", ...common });
    this.error = h("p", { class: "field-error", id: `${id}-error`, "aria-live": "polite" });
    this.element = h("div", { class: "field" },
      h("label", { for: id }, label, isRequired && h("span", { class: "required" }, " required")),
      h("div", { class: "input" }, this.input, unit && h("span", { class: "unit" }, unit)),
      hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
      this.error);
  }

  get value() {
    return this.type === "password" ? this.input.value : this.input.value.trim();
  }

  /** Whether something stands there that is no number: its value is then empty. */
  get isUnreadable() {
    return this.input.validity.badInput;
  }

  set value(text) {
    this.input.value = text;
  }

  /** @param {string} message empty takes the error away */
  showError(message) {
    this.element.classList.toggle("wrong", message !== "");
    this.input.setAttribute("aria-invalid", String(message !== ""));
    replace(this.error, message && [icon("alert"), message]);
  }
}

/**
 * What can be said of fields before anything is asked.
 *
 * @param {Field[]} fields
 * @returns {FieldError[]}
 */
export function complaints(fields) {
  return fields.map((field) => ({ field: field.name, message: complaint(field) })).filter((each) => each.message);
}

/** @param {Field} field */
function complaint(field) {
  if (field.isUnreadable) {
    return "This is not a number. Write it like 4 or 4.5.";
  }
  return field.isRequired && field.value === "" ? "Fill this in." : "";
}

/**
 * Show each error beside its field, and go to the first one.
 *
 * @param {Field[]} fields
 * @param {FieldError[]} errors
 * @returns {{isShown: boolean, rest: FieldError[]}} whether any was shown, and those that belong to no field
 */
export function showErrors(fields, errors) {
  /** @type {Field | null} */
  let first = null;
  const rest = [];
  fields.forEach((field) => field.showError(""));
  for (const { field: name, message } of errors) {
    const field = fields.find((each) => [each.name, `spec.${each.name}`, `args.${each.name}`].includes(name));
    field?.showError(message);
    field ? first ??= field : rest.push({ field: name, message });
  }
  first?.element.closest("details")?.setAttribute("open", "");
  first?.input.focus();
  return { isShown: first !== null, rest };
}

/**
 * Show why something was refused: beside the fields it concerns, and in a box what belongs to none of them.
 *
 * @param {Field[]} fields
 * @param {import("./api.js").ApiProblem} problem
 * @param {Element} place of the box
 */
export function showRefusal(fields, problem, place) {
  const { isShown, rest } = showErrors(fields, problem.errors ?? []);
  const { text } = partsOf(problem);
  const left = { message: text, errors: rest, code: problem.code, correlationId: problem.correlationId };
  replace(place, isShown ? (text || rest.length > 0) && problemBox(left) : problemBox(problem));
}
