/**
 * Building elements. Text only ever becomes a text node, so nothing that comes from a container, a log or a
 * person can turn into markup.
 */

/** Where the page is: `/`, or the path that a proxy has it under, like `/slipway/`. */
export const ROOT = new URL("..", import.meta.url).pathname;

/** @typedef {Node | string | number | null | undefined | false} Child  lists of them may be nested */

/**
 * Make an element: `h("a", {class: "x", href: "#/"}, "text")`. A property `onclick` is a listener; `true` is an
 * attribute without a value; null, undefined and false leave it out.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    set(element, name, value);
  }
  append(element, children);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {any} value
 */
function set(element, name, value) {
  if (value === null || value === undefined || value === false) {
    return;
  }
  if (name.startsWith("on")) {
    element.addEventListener(name.slice(2), value);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * @param {Element | DocumentFragment} parent
 * @param {(Child | Child[])[]} children
 */
export function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      parent.append(child instanceof Node ? child : String(child));
    }
  }
}

/**
 * Put other children in place of what an element has.
 *
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function replace(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** @type {Record<string, string>} */
const PATHS = {
  alert: "M12 8v5m0 3.5v.01M10.3 3.9 2.6 17.2A2 2 0 0 0 4.3 20.2h15.4a2 2 0 0 0 1.7-3L13.7 3.9a2 2 0 0 0-3.4 0Z",
  arrow: "M12 5v14m6-6-6 6-6-6",
  back: "M15 6l-6 6 6 6",
  box: "M3.5 7.5 12 3l8.5 4.5v9L12 21l-8.5-4.5zM3.5 7.5 12 12l8.5-4.5M12 12v9",
  check: "M5 12.5l4.5 4.5L19 7.5",
  copy: "M9 9h10v11H9zM5 15V4h10",
  cross: "M6 6l12 12M18 6 6 18",
  external: "M14 5h5v5M19 5l-8 8M18 14v5H5V6h5",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Zm9.5 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
  key: "M14.5 13.5a4.5 4.5 0 1 0-4-2.4L4 17.5V20h3v-2h2v-2h2l1.1-1.1c.7.4 1.5.6 2.4.6ZM15.5 8.5v.01",
  plus: "M12 5v14M5 12h14",
  retry: "M4 12a8 8 0 1 1 2.5 5.8M4 19v-5h5",
  trash: "M4.5 7h15M9.5 7V4.5h5V7m3.5 0-.8 12.5H6.8L6 7m4 3.5v6m4-6v6",
};

/**
 * A drawn sign; decoration only, the words stand beside it.
 *
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
