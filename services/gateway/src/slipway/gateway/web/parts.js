/** Parts that several views show: badges, problems, facts, links to services, copy buttons. */

import { append, h, icon, replace } from "./dom.js";
import { ago, exactly, warningWords } from "./words.js";

/** @type {Record<string, string>} */
const TONES = {
  ready: "good", running: "good", succeeded: "good",
  creating: "busy", deleting: "busy", queued: "busy",
  failed: "bad", cancelled: "plain", stopped: "plain", unknown: "plain", deleted: "plain",
};

/**
 * A state as a coloured word.
 *
 * @param {string} state
 * @param {string} [tone]
 */
export function badge(state, tone = TONES[state] ?? "plain") {
  return h("span", { class: `badge ${tone}` }, state);
}

/**
 * The state of a job: running is busy there, not good.
 *
 * @param {string} state
 */
export function jobBadge(state) {
  return badge(state, state === "running" ? "busy" : undefined);
}

/**
 * A moment, relative, with the exact one at hand.
 *
 * @param {string | null | undefined} moment
 */
export function when(moment) {
  return moment ? h("time", { datetime: moment, title: exactly(moment) }, ago(moment)) : "–";
}

/**
 * What went wrong and, if given, a way to try again.
 *
 * @param {any} problem an ApiProblem, a problem's body, or any error
 * @param {{title?: string, retry?: () => void}} [options]
 */
export function problemBox(problem, { title = "", retry } = {}) {
  const code = [problem.code, problem.correlationId ?? problem.correlation_id].filter(Boolean).join(" · ");
  const { text, faults } = partsOf(problem);
  const lines = faults.map((each) => [each.field && [h("code", null, each.field), " "], each.message]);
  return h("div", { class: "notice bad", role: "alert" },
    icon("alert"),
    h("div", { class: "notice-body" },
      title && h("p", { class: "notice-title" }, title),
      !text && lines.length === 1 ? h("p", null, lines) : [
        (text || !lines.length) && h("p", null, text || "Something went wrong, and nothing more is known."),
        lines.length > 0 && h("ul", null, lines.map((line) => h("li", null, line)))],
      problem.code === "job.active" && problem.details?.job
        && h("p", null, h("a", { href: `#/jobs/${problem.details.job}` }, "Follow that job")),
      code && h("p", { class: "fine" }, h("code", null, code)),
      retry && h("button", { type: "button", class: "button small", onclick: retry }, icon("retry"), "Try again")));
}

/**
 * A problem's own text, and the faults that it leaves out, so that each is shown once. Most messages are nothing but
 * their faults: then there is no text, and the faults are shown with the names of their fields.
 *
 * @param {{message?: string, errors?: import("./api.js").FieldError[]}} problem
 * @returns {{text: string, faults: import("./api.js").FieldError[]}}
 */
export function partsOf({ message = "", errors = [] }) {
  const named = errors.map((each) => (each.field ? `${each.field}: ${each.message}` : each.message));
  const isMadeOfThem = [named, errors.map((each) => each.message)].some((parts) => parts.join("; ") === message);
  return isMadeOfThem
    ? { text: "", faults: errors }
    : { text: message, faults: errors.filter((each) => !message.includes(each.message)) };
}

/**
 * @param {string[] | undefined} warnings
 */
export function warningList(warnings) {
  return (warnings ?? []).map((warning) =>
    h("div", { class: "notice warn" }, icon("alert"), h("p", null, warningWords(warning))));
}

/**
 * @param {[string, any][]} pairs those without a value are left out
 */
export function facts(pairs) {
  return h("dl", { class: "facts" },
    pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

/**
 * A section with a heading.
 *
 * @param {string} title
 * @param {...any} children
 */
export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", null, title), children);
}

/**
 * @param {string} title
 * @param {string} text
 * @param {any} [action]
 */
export function empty(title, text, action) {
  return h("div", { class: "empty" }, icon("box"), h("h2", null, title), h("p", null, text), action);
}

/** Grey bars where something will be in a moment. */
export function loading() {
  return h("div", { class: "loading", role: "status" },
    h("span", { class: "hidden" }, "Loading"), h("i"), h("i"), h("i"));
}

/**
 * A link if the address is one of the web and leads somewhere now; anything else stays text.
 *
 * @param {string} url
 * @param {boolean} isLive
 */
export function webLink(url, isLive) {
  return isLive && /^https?:\/\//i.test(url)
    ? h("a", { class: "out", href: url, target: "_blank", rel: "noopener noreferrer" }, url, "\u2060", icon("external"),
      h("span", { class: "hidden" }, " (opens a new tab)"))
    : h("code", null, url);
}

/**
 * What listens in a container; the system's own only when there is nothing else to hide it behind.
 *
 * @param {import("./api.js").Container} container
 * @param {boolean} isLive whether its addresses lead somewhere now
 */
export function serviceList(container, isLive) {
  const services = (container.services ?? []).filter((each) => !each.is_system);
  if (!services.length) {
    return h("p", { class: "muted" }, "No services of its own are known.");
  }
  return [
    !isLive && h("p", { class: "hint" }, "It does not run now: this is what listened when it last did."),
    h("ul", { class: "rows" }, services.map((each) =>
      h("li", null,
        h("span", { class: "row-name" }, each.name),
        h("span", { class: "row-value" },
          each.url ? webLink(each.url, isLive) : h("code", null, each.port ? `port ${each.port}` : "no port"))))),
  ];
}

/**
 * A button that copies; it says so for a moment.
 *
 * @param {() => string} text
 * @param {string} what for those who can't see where it stands
 */
export function copyButton(text, what) {
  const button = h("button", { type: "button", class: "button quiet small" });
  const rest = () => replace(button, icon("copy"), "Copy", h("span", { class: "hidden" }, ` ${what}`));
  button.addEventListener("click", async () => {
    const done = await copy(text());
    replace(button, icon(done ? "check" : "cross"), done ? "Copied" : "Not copied");
    setTimeout(rest, 2000);
  });
  rest();
  return button;
}

/**
 * The clipboard's own interface needs HTTPS; elsewhere the old way is taken.
 *
 * @param {string} text
 * @returns {Promise<boolean>}
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h("textarea", { class: "hidden", "aria-hidden": "true", tabindex: "-1" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/**
 * Say something that needs no answer.
 *
 * @param {string} text
 */
export function toast(text) {
  const shown = h("p", { class: "toast" }, text);
  append(/** @type {Element} */ (document.getElementById("toasts")), [shown]);
  setTimeout(() => shown.remove(), 6000);
}
