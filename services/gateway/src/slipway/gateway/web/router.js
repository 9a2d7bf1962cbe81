/**
 * Hash routes to views. A view fills the page and gets a signal that is aborted when one leaves it: requests,
 * listeners, timers and streams hang on that signal, so nothing of a view outlives it.
 */

import { ROOT, h, replace } from "./dom.js";
import { empty, problemBox } from "./parts.js";

/**
 * @callback View
 * @param {HTMLElement} page
 * @param {{id: string, signal: AbortSignal}} visit
 * @returns {Promise<void> | void}
 */

/** @typedef {{pattern: RegExp, title: string, view: View}} Route */

export class Router {
  /** Whether the view could not be shown. */
  hasFailed = false;
  /** @type {AbortController | null} */
  #leaving = null;

  /**
   * @param {HTMLElement} main
   * @param {Route[]} routes the first one is also where one begins
   */
  constructor(main, routes) {
    this.main = main;
    this.routes = routes;
  }

  /** Show what the address names now. */
  async show() {
    const path = location.hash.slice(1);
    const isOurs = location.pathname === ROOT;
    if (isOurs && (path === "" || path === "/")) {
      location.replace("#/containers");
      return;
    }
    for (const route of isOurs ? this.routes : []) {
      const match = route.pattern.exec(path);
      if (match) {
        await this.open(route, match[1] ?? "");
        return;
      }
    }
    await this.open({ pattern: /^/, title: "Page not found", view: notFound });
  }

  /**
   * Leave the view before and open another.
   *
   * @param {Route} route
   * @param {string} id
   */
  async open(route, id = "") {
    this.leave();
    const leaving = new AbortController();
    this.#leaving = leaving;
    this.hasFailed = false;
    const page = h("div", { class: "page" });
    replace(this.main, page);
    document.title = `${route.title} · Slipway`;
    window.scrollTo(0, 0);
    this.main.focus({ preventScroll: true });
    try {
      await route.view(page, { id, signal: leaving.signal });
    } catch (error) {
      if (!leaving.signal.aborted) {
        this.hasFailed = true;
        const isGone = /** @type {any} */ (error).status === 404;
        replace(page, h("h1", null, isGone ? `${route.title} not found` : route.title),
          problemBox(error, isGone ? {} : { retry: () => this.show() }), isGone && wayBack());
      }
    }
  }

  /** End the view that is shown. */
  leave() {
    this.#leaving?.abort();
  }
}

/** @type {View} */
function notFound(page) {
  const address = location.pathname === ROOT ? location.hash : location.pathname;
  replace(page, empty("Page not found",
    `There is nothing at ${address}. The address may be mistyped, or from another version of Slipway.`, wayBack()));
}

function wayBack() {
  return h("p", null, h("a", { class: "button primary", href: `${ROOT}#/containers` }, "All containers"));
}
