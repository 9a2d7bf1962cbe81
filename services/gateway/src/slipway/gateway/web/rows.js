/**
 * Rows that stay: of a table that is drawn anew, only the cells that differ are replaced, so what has the focus
 * keeps it and nothing jumps. A row is known by its `data-key`.
 */

/**
 * Show these rows in a table.
 *
 * @param {HTMLElement} body
 * @param {HTMLElement[]} rows
 */
export function showRows(body, rows) {
  const previous = new Map([...body.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.key, row]));
  const next = rows.map((fresh) => {
    const old = /** @type {HTMLElement | undefined} */ (previous.get(fresh.dataset.key));
    previous.delete(fresh.dataset.key);
    return old ? updateRow(old, fresh) : fresh;
  });
  for (const gone of previous.values()) {
    leave(gone);
    gone.remove();
  }
  next.forEach((row, index) => {
    // To move a row would take the focus from it: only what is not in its place is put there.
    if (body.children[index] !== row) {
      body.insertBefore(row, body.children[index] ?? null);
    }
  });
}

/**
 * Make a row like a fresh one; the focus stays on the same link.
 *
 * @param {HTMLElement} row
 * @param {HTMLElement} fresh
 * @returns {HTMLElement} the row
 */
export function updateRow(row, fresh) {
  const cells = [...fresh.children];
  for (const { name, value } of fresh.attributes) {
    row.setAttribute(name, value);
  }
  [...row.children].forEach((cell, index) => {
    const other = cells[index];
    if (cell.isEqualNode(other)) {
      return;
    }
    withFocus(row, () => cell.replaceWith(other));
  });
  return row;
}

/** @param {Element} row where the focus goes when this one goes away: to its neighbour */
function leave(row) {
  if (row.contains(document.activeElement)) {
    const neighbour = row.nextElementSibling ?? row.previousElementSibling;
    neighbour && linkIn(neighbour)?.focus();
  }
}

/**
 * Change what is in a place; what had the focus there gets it again: the link to the same address, the button of
 * the same words, or else the first link.
 *
 * @param {Element} place
 * @param {() => void} change
 */
export function withFocus(place, change) {
  const focused = document.activeElement;
  const isInside = focused !== null && place.contains(focused);
  change();
  if (isInside && !place.contains(focused)) {
    const same = [...place.querySelectorAll("a, button")].find((each) =>
      each.getAttribute("href") === focused.getAttribute("href") && each.textContent === focused.textContent);
    /** @type {HTMLElement | undefined} */ (same ?? linkIn(place))?.focus();
  }
}

/**
 * @param {Element} place
 * @returns {HTMLElement | null}
 */
export function linkIn(place) {
  return place.querySelector("a");
}
