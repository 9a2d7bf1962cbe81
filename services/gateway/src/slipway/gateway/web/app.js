/** The start: who is signed in, which view belongs to which address. */

import { request } from "./api.js";
import { h, replace } from "./dom.js";
import { awayWords, showOutages, watchOutages } from "./outages.js";
import { problemBox, toast } from "./parts.js";
import { Router } from "./router.js";
import { clustersView } from "./views/clusters.js";
import { containerView } from "./views/container.js";
import { containersView } from "./views/containers.js";
import { jobView } from "./views/job.js";
import { jobsView } from "./views/jobs.js";
import { newView } from "./views/new.js";
import { signInDialog, signInView } from "./views/sign-in.js";

/**
 * @param {string} id
 * @returns {any}
 */
const byId = (id) => document.getElementById(id);

/** @type {Record<string, string>} */
const LIVE_WORDS = { live: "Live", connecting: "Connecting", lost: "Reconnecting" };

let streamState = "";
/** @type {import("./outages.js").Outage[]} */
let outages = [];

/** @param {string} state */
function onStreamState(state) {
  streamState = state;
  showState();
}

/** A stream may be open and silent: what is away goes before what it says of itself. */
function showState() {
  const away = awayWords(outages);
  const live = byId("live");
  live.dataset.state = away ? "lost" : streamState;
  live.textContent = away || (LIVE_WORDS[streamState] ?? "");
}

/** Of who is signed in: ends with the session. */
let watching = new AbortController();

function watchParts() {
  watching.abort();
  watching = new AbortController();
  watchOutages((current) => {
    outages = current;
    showState();
    showOutages(byId("outages"), current);
  }, watching.signal);
}

const router = new Router(byId("main"), [
  { pattern: /^\/containers$/, title: "Containers", view: containersView(onStreamState) },
  { pattern: /^\/containers\/([^/]+)$/, title: "Container", view: containerView(onStreamState) },
  { pattern: /^\/new$/, title: "New container", view: newView },
  { pattern: /^\/clusters$/, title: "Clusters", view: clustersView(onStreamState) },
  { pattern: /^\/jobs$/, title: "Jobs", view: jobsView(onStreamState) },
  { pattern: /^\/jobs\/([^/]+)$/, title: "Job", view: jobView(onStreamState) },
]);
/** Who is signed in, null if nobody is. @type {string | null} */
let actor = null;
let isAsking = false;

function signIn() {
  actor = null;
  watching.abort();
  byId("bar").hidden = true;
  byId("outages").hidden = true;
  router.open({ pattern: /^/, title: "Sign in", view: signInView(enter) });
}

/** Ask for the secret again over what is shown, so that nothing typed is lost. */
function signInAgain() {
  if (actor === null || isAsking) {
    return;
  }
  isAsking = true;
  signInDialog((session) => {
    isAsking = false;
    if (session.actor === actor && !router.hasFailed) {
      document.dispatchEvent(new CustomEvent("signed-in"));
    } else {
      enter(session);
    }
  });
}

/** @param {{actor: string}} session */
function enter(session) {
  actor = session.actor;
  byId("bar").hidden = false;
  byId("who").textContent = actor;
  watchParts();
  show();
}

function show() {
  if (actor === null) {
    return;
  }
  onStreamState("");
  for (const link of byId("nav").querySelectorAll("a")) {
    const isHere = location.hash.startsWith(link.hash) && location.pathname === link.pathname;
    link.setAttribute("aria-current", isHere ? "page" : "false");
  }
  router.show();
}

async function signOut() {
  try {
    await request("DELETE", "/api/v1/session");
    signIn();
  } catch (error) {
    const { status, message } = /** @type {any} */ (error);
    // Signed out elsewhere already.
    status === 401 ? signIn() : toast(message);
  }
}

async function start() {
  try {
    enter(await request("GET", "/api/v1/session"));
  } catch (error) {
    if (/** @type {any} */ (error).status === 401) {
      signIn();
    } else {
      replace(byId("main"), h("div", { class: "page" }, problemBox(error, { retry: start })));
    }
  }
}

window.addEventListener("hashchange", show);
document.addEventListener("signed-out", signInAgain);
document.querySelector(".skip")?.addEventListener("click", (event) => {
  // The address names the view: it must not become "#main".
  event.preventDefault();
  byId("main").focus();
});
byId("sign-out").addEventListener("click", signOut);
start();
