/**
 * The log of a job, as it comes. Lines are gathered and drawn once a frame; parts of a long line are joined; a line
 * that has no end yet is replaced by the next one; the view stays at the end until one scrolls up, and holds the last
 * lines only.
 */

import { ROOT, h, icon } from "./dom.js";

const MOST_LINES = 5000;
const SHOWN_CHARACTERS = 100000;
const NEAR_END_PX = 24;
// What terminals do with colours and cursors means nothing here.
const CONTROL = /\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f]/g;

export class LogPane {
  /** @type {HTMLElement[]} */
  #waiting = [];
  /** @type {Map<string, HTMLElement>} */
  #parts = new Map();
  /** @type {HTMLElement | null} */
  #unfinished = null;
  /** @type {HTMLElement[]} */
  #replaced = [];
  #source = "";
  #isFollowing = true;
  #frame = 0;
  #dropped = 0;

  /** @param {string} job */
  constructor(job) {
    const whole = `${ROOT}api/v1/jobs/${encodeURIComponent(job)}/log`;
    this.lines = h("div", { class: "log-lines", role: "log", "aria-live": "off", "aria-label": "Log", tabindex: "0" });
    this.nothing = h("p", { class: "log-empty" }, "Nothing has been printed.");
    this.jump = h("button", { type: "button", class: "button small log-jump", hidden: true, onclick: () => this.#follow() },
      icon("arrow"), "Latest");
    this.cut = h("p", { class: "log-cut", hidden: true });
    this.element = h("section", { class: "card log" },
      h("div", { class: "card-head" }, h("h2", null, "Log"),
        h("a", { class: "fine", href: whole, target: "_blank", rel: "noopener" }, "Whole log", icon("external"))),
      this.cut,
      h("div", { class: "log-frame" }, this.nothing, this.lines, this.jump));
    this.lines.addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  /** Forget all lines. */
  clear() {
    this.#waiting = [];
    this.#parts.clear();
    this.#unfinished = null;
    this.#source = "";
    this.#dropped = 0;
    this.cut.hidden = true;
    this.nothing.hidden = false;
    this.lines.replaceChildren();
  }

  /**
   * Take one `log` event.
   *
   * @param {{phase?: string, step?: string, script?: string, lines?: {stream: string, text: string, more?: boolean}[],
   *   is_unfinished?: boolean}} event
   */
  add({ phase, step, script, lines = [], is_unfinished: isUnfinished = false }) {
    const source = script ?? step ?? phase ?? "";
    if (source === this.#source) {
      this.#replaceUnfinished();
    } else {
      this.#source = source;
      this.#parts.clear();
      this.#put(h("div", { class: "log-source" }, source));
    }
    for (const line of lines) {
      this.#line(line);
    }
    this.#unfinished = isUnfinished ? this.#waiting.at(-1) ?? null : null;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** @param {{stream: string, text: string, more?: boolean}} line */
  #line({ stream, text, more }) {
    const begun = this.#parts.get(stream);
    const row = begun ?? h("div", { class: `log-line ${stream === "stderr" || stream === "task" ? stream : ""}` });
    if (!begun) {
      this.#put(row);
      if (stream === "stderr") {
        row.append(h("span", { class: "hidden" }, "stderr: "));
      }
    }
    const length = row.textContent?.length ?? 0;
    if (length < SHOWN_CHARACTERS) {
      row.append(text.slice(0, SHOWN_CHARACTERS - length).replace(CONTROL, ""));
      if (length + text.length > SHOWN_CHARACTERS) {
        row.append(h("em", null, " … cut here; the whole log has the rest"));
      }
    }
    if (more) {
      this.#parts.set(stream, row);
    } else {
      this.#parts.delete(stream);
    }
  }

  #replaceUnfinished() {
    this.#waiting = this.#waiting.filter((row) => row !== this.#unfinished);
    if (this.#unfinished) {
      // Removed when what replaces it is drawn: there is no moment without either.
      this.#replaced.push(this.#unfinished);
    }
  }

  /** @param {HTMLElement} node */
  #put(node) {
    this.#waiting.push(node);
    if (this.#waiting.length > MOST_LINES) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
  }

  #draw() {
    this.#frame = 0;
    this.nothing.hidden = true;
    this.#replaced.splice(0).forEach((row) => row.remove());
    this.lines.append(...this.#waiting.splice(0));
    while (this.lines.childElementCount > MOST_LINES) {
      this.lines.firstElementChild.remove();
      this.#dropped += 1;
    }
    if (this.#dropped) {
      this.cut.hidden = false;
      this.cut.textContent = `${this.#dropped.toLocaleString("en")} earlier lines are left out here; the whole log has them.`;
    }
    if (this.#isFollowing) {
      this.lines.scrollTop = this.lines.scrollHeight;
    } else {
      this.jump.hidden = false;
    }
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.lines;
    this.#isFollowing = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    this.jump.hidden = this.#isFollowing;
  }

  #follow() {
    this.#isFollowing = true;
    this.jump.hidden = true;
    this.lines.scrollTop = this.lines.scrollHeight;
    this.lines.focus({ preventScroll: true });
  }
}
