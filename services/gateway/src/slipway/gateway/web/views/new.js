/** A new container from a template. */

import { freshKey, list, request } from "../api.js";
import { h, icon, replace } from "../dom.js";
import { Field, complaints, showErrors, showRefusal } from "../form.js";
import { empty, loading } from "../parts.js";
import { memory } from "../words.js";

/** @typedef {import("../form.js").Field} FormField */

/**
 * @typedef {Object} Variable
 * @property {string} name
 * @property {string} [description]
 * @property {string | null} [default]
 * @property {boolean} [is_required]
 * @property {boolean} [is_secret]
 * @property {number | null} [generate]
 * @property {string | null} [pattern]
 */

/**
 * @typedef {Object} Template
 * @property {string} name
 * @property {{description: string, version: string, variables?: Variable[], resources?: any, ports?: any[]}} manifest
 */

const MOST_CLUSTERS = 1000;

/** @type {import("../router.js").View} */
export async function newView(page, { signal }) {
  replace(page, loading());
  const [{ items, faults = [] }, clusters] = await Promise.all([
    request("GET", "/api/v1/templates?limit=1000", { signal }),
    list("/api/v1/clusters", { most: MOST_CLUSTERS, signal }),
  ]);
  const names = clusters.items.map((each) => each.name);
  replace(page,
    h("a", { class: "back", href: "#/containers" }, icon("back"), "Containers"),
    h("div", { class: "head" }, h("h1", null, "New container")),
    faultList(faults),
    items.length ? new CreateForm(items, names, signal).element
      : empty("No templates", faults.length ? "None of its folders can be used." : "The catalog has no folder of one."));
}

/**
 * The templates that can't be chosen, and why.
 *
 * @param {{folder: string, message: string}[]} faults
 */
function faultList(faults) {
  return faults.length > 0 && h("div", { class: "notice warn" }, icon("alert"),
    h("div", { class: "notice-body" },
      h("p", { class: "notice-title" }, "Templates that can't be used:"),
      h("ul", null, faults.map(({ folder, message }) => h("li", null, h("code", null, folder), ` ${message}`)))));
}

class CreateForm {
  #key = freshKey();
  #asked = "";
  /** What was typed for variables, also of templates that are not chosen now. @type {Map<string, string>} */
  #typed = new Map();

  /**
   * @param {Template[]} templates
   * @param {string[]} clusters
   * @param {AbortSignal} signal
   */
  constructor(templates, clusters, signal) {
    this.signal = signal;
    this.cluster = clusters.length > 1 ? new Field({
      name: "cluster", label: "Cluster", placeholder: "Choose one", isRequired: true, choices: clusters,
    }) : null;
    this.template = templates[0];
    this.hostname = new Field({
      name: "hostname", label: "Hostname", isRequired: true, hint: "Letters, digits, hyphens and dots, for example web-1 or mail.example.com",
      attributes: { maxlength: "64", autocapitalize: "off", spellcheck: "false" },
    });
    /** @type {FormField[]} */
    this.variables = [];
    this.sizes = [
      new Field({ name: "cores", label: "Cores", type: "number", attributes: { min: "1" } }),
      new Field({ name: "memory", label: "Memory", type: "number", unit: "MiB", attributes: { min: "16" } }),
      new Field({ name: "disk", label: "Disk", type: "number", unit: "GiB", attributes: { min: "0.001", step: "any" } }),
    ];
    this.password = new Field({
      name: "password", label: "Root password", type: "password", hint: "Left empty, one is generated and stored for you.",
      attributes: { autocomplete: "new-password" },
    });
    this.own = h("div", { class: "form" });
    this.outage = h("div");
    this.button = h("button", { type: "submit", class: "button primary" }, "Create container");
    this.element = h("form", { class: "create", novalidate: true, onsubmit: (/** @type {SubmitEvent} */ e) => this.#submit(e) },
      h("fieldset", { class: "templates" }, h("legend", null, "Template"),
        templates.map((each, index) => this.#choice(each, index === 0))),
      h("div", { class: "card" },
        h("div", { class: "form" }, this.hostname.element, this.cluster?.element, this.own,
          h("details", { class: "more" }, h("summary", null, "Size and password"),
            h("div", { class: "form" },
              h("div", { class: "trio" }, this.sizes.map((field) => field.element)), this.password.element))),
        this.outage,
        h("div", { class: "form-end" }, h("a", { class: "button quiet", href: "#/containers" }, "Cancel"), this.button)));
    this.#choose(this.template);
  }

  get fields() {
    return [this.hostname, ...(this.cluster ? [this.cluster] : []), ...this.variables, ...this.sizes, this.password];
  }

  /**
   * @param {Template} template
   * @param {boolean} isChosen
   */
  #choice(template, isChosen) {
    const { manifest } = template;
    const resources = manifest.resources ?? {};
    return h("label", { class: "choice" },
      h("input", { type: "radio", name: "template", value: template.name, checked: isChosen, onchange: () => this.#choose(template) }),
      h("span", { class: "choice-body" },
        h("span", { class: "choice-name" }, template.name, h("span", { class: "vmid" }, manifest.version)),
        h("span", { class: "choice-text" }, manifest.description),
        h("span", { class: "choice-facts" },
          chip(`${resources.cores ?? 1} core${resources.cores > 1 ? "s" : ""}`),
          chip(memory(resources.memory ?? 512)), chip(`${resources.disk ?? 4} GiB`),
          (manifest.ports ?? []).map((port) => chip(`${port.name} :${port.port}`)))));
  }

  /** @param {Template} template */
  #choose(template) {
    const { variables = [], resources = {} } = template.manifest;
    // A secret must not turn up in a field that shows it: stored is what has the same name and kind.
    const key = (/** @type {FormField} */ field) => `${field.type} ${field.name}`;
    for (const field of this.variables) {
      this.#typed.set(key(field), field.value);
    }
    this.template = template;
    this.variables = variables.map(variableField);
    for (const field of this.variables) {
      field.value = this.#typed.get(key(field)) ?? "";
    }
    for (const field of this.sizes) {
      field.input.placeholder = resources[field.name] ?? "";
    }
    replace(this.outage);
    replace(this.own, this.variables.map((field) => field.element));
  }

  #body() {
    /** @type {Record<string, any>} */
    const body = { template: this.template.name };
    /** @type {Record<string, string>} */
    const variables = {};
    for (const field of this.fields.filter((each) => each.value !== "")) {
      if (field.name.startsWith("variables.")) {
        variables[field.name.slice("variables.".length)] = field.value;
      } else {
        body[field.name] = field.type === "number" ? Number(field.value) : field.value;
      }
    }
    return Object.keys(variables).length ? { ...body, variables } : body;
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    replace(this.outage);
    if (showErrors(this.fields, complaints(this.fields)).isShown) {
      return;
    }
    const body = this.#body();
    // The same request again has the same key; a changed one is a new request.
    if (JSON.stringify(body) !== this.#asked) {
      this.#asked = JSON.stringify(body);
      this.#key = freshKey();
    }
    this.button.disabled = true;
    try {
      const headers = { "Idempotency-Key": this.#key };
      const accepted = await request("POST", "/api/v1/containers", { body, headers, signal: this.signal });
      location.hash = `#/jobs/${accepted.job.id}`;
    } catch (error) {
      if (!this.signal.aborted) {
        this.button.disabled = false;
        showRefusal(this.fields, /** @type {import("../api.js").ApiProblem} */ (error), this.outage);
      }
    }
  }

}

/** @param {string} name */
function inWords(name) {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll(/[_-]/g, " ");
}

/** @param {Variable} variable */
function variableField(variable) {
  const generated = variable.generate ? "Left empty, one is generated." : "";
  return new Field({
    name: `variables.${variable.name}`,
    label: inWords(variable.name),
    type: variable.is_secret ? "password" : "text",
    hint: [variable.description?.replace(/\.?$/, "."), generated].filter(Boolean).join(" "),
    placeholder: variable.default ?? "",
    isRequired: Boolean(variable.is_required) && !variable.default && !variable.generate,
    attributes: { autocomplete: variable.is_secret ? "new-password" : "off", spellcheck: "false" },
  });
}

/** @param {string} text */
function chip(text) {
  return h("span", { class: "chip" }, text);
}
