/**
 * A list as a table that stays true: it is loaded one time after the other, so that no older answer replaces a
 * newer one; rows that did not change stay as they are; a failure is shown above the rows of before.
 */

import { list } from "./api.js";
import { h, replace } from "./dom.js";
import { inTurn } from "./live.js";
import { loading, problemBox } from "./parts.js";
import { linkIn, showRows } from "./rows.js";

/**
 * @typedef {Object} ListingOptions
 * @property {string} path of the list, without a query
 * @property {Record<string, string>} [query]
 * @property {number} atOnce how many come first, and with each "Show more"
 * @property {string} caption
 * @property {string[]} heads
 * @property {(item: any) => HTMLElement} row with the item's id as `data-key`
 * @property {HTMLElement} nothing shown while there are no items
 * @property {AbortSignal} signal
 * @property {(items: any[]) => void} [drawn] called after the list was drawn
 */

export class Listing {
  /** @type {any[]} */
  items = [];
  hasMore = false;
  /** Which of the items are shown. @type {(item: any) => boolean} */
  isWanted = () => true;
  #most = 0;
  #shown = "";

  /** @param {ListingOptions} options */
  constructor(options) {
    this.options = options;
    this.#most = options.atOnce;
    this.load = inTurn(() => this.#ask(), options.signal);
    this.outage = h("div");
    this.bars = loading();
    this.none = h("p", { class: "muted", hidden: true });
    this.body = h("tbody");
    this.table = h("div", { class: "card flush", hidden: true },
      h("table", { class: "table" },
        h("caption", { class: "hidden" }, options.caption),
        h("thead", null, h("tr", null, options.heads.map((head) => h("th", { scope: "col" }, head)))),
        this.body));
    this.count = h("span", { class: "muted" });
    this.rest = h("p", { class: "list-end", hidden: true }, this.count,
      h("button", { type: "button", class: "button", onclick: () => this.#more() }, "Show more"));
    options.nothing.hidden = true;
    this.element = h("div", { class: "listing" },
      this.outage, this.bars, options.nothing, this.none, this.table, this.rest);
  }

  async #ask() {
    const { path, query, signal } = this.options;
    try {
      Object.assign(this, await list(path, { most: this.#most, query, signal }));
      this.#showProblem(null);
      this.draw();
    } catch (error) {
      if (!signal.aborted) {
        this.#showProblem(error);
      }
    }
    this.bars.hidden = true;
  }

  /** Show what is loaded and selected. */
  draw() {
    const { row, nothing, drawn } = this.options;
    const shown = this.items.filter(this.isWanted);
    showRows(this.body, shown.map(row));
    this.table.hidden = shown.length === 0;
    nothing.hidden = this.items.length > 0;
    this.none.hidden = shown.length > 0 || this.items.length === 0;
    this.none.textContent = `None of ${this.hasMore ? "the first " : ""}${this.items.length} matches.`;
    this.rest.hidden = !this.hasMore;
    this.count.textContent = `The first ${this.items.length} are shown.`;
    drawn?.(this.items);
  }

  async #more() {
    const before = this.body.childElementCount;
    this.#most += this.options.atOnce;
    await this.load();
    const first = this.body.children[before];
    first && linkIn(first)?.focus();
  }

  /** @param {any} error the same one is not shown again */
  #showProblem(error) {
    const now = error ? `${error.code} ${error.message}` : "";
    if (now !== this.#shown) {
      this.#shown = now;
      replace(this.outage, error && problemBox(error, { retry: () => this.#again() }));
    }
  }

  #again() {
    // Its result is shown anew.
    this.#shown = "asked again";
    this.load();
  }
}
