/**
 * The page again, when a part of it did not arrive: a browser gives up its requests when the machine's network
 * changes, as it does on a machine where containers start, and a page without one of its parts stays empty.
 * A classic script, before all others: it listens before they load, and needs none of them.
 */

(() => {
  const TRIES = 5;
  const PAUSE_MS = 500;
  const KEY = "slipway-start";
  const over = new AbortController();
  let isWhole = true;

  const again = () => {
    const tries = Number(sessionStorage.getItem(KEY) ?? 0);
    if (tries < TRIES) {
      sessionStorage.setItem(KEY, String(tries + 1));
      setTimeout(() => location.reload(), PAUSE_MS);
      return;
    }
    sessionStorage.removeItem(KEY);
    const line = document.querySelector(".starting");
    if (line) {
      line.textContent = "A part of this page did not arrive. Check that Slipway runs, then reload the page.";
    }
  };

  // The errors of elements don't bubble: they are met on the way down.
  const miss = (/** @type {Event} */ event) => {
    isWhole &&= event.target === window;
  };
  const end = () => {
    over.abort();
    if (isWhole) {
      sessionStorage.removeItem(KEY);
    } else {
      again();
    }
  };
  window.addEventListener("error", miss, { capture: true, signal: over.signal });
  window.addEventListener("load", end, { once: true });
})();
