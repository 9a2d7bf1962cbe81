/**
 * What a job's events add up to. Pure: an event comes in, the log is changed, nothing is drawn here.
 */

export const PHASES = ["create", "start", "deploy", "sync", "finalize"];

/** @typedef {"waiting" | "running" | "finished" | "failed"} PhaseStatus */
/** @typedef {{name: string, status: string, seconds: number | null}} Script */

/**
 * @typedef {Object} Timeline
 * @property {Record<string, PhaseStatus>} phases
 * @property {number} percent
 * @property {string} state
 * @property {string} step in words
 * @property {Script[]} scripts
 * @property {string[]} warnings
 * @property {import("./api.js").ProblemBody | null} error
 */

/** @returns {Timeline} */
export function newTimeline() {
  return {
    phases: Object.fromEntries(PHASES.map((phase) => [phase, "waiting"])),
    percent: 0,
    state: "queued",
    step: "Waiting for a worker",
    scripts: [],
    warnings: [],
    error: null,
  };
}

/**
 * Add one event.
 *
 * @param {Timeline} timeline
 * @param {string} name
 * @param {any} content
 */
export function advance(timeline, name, content) {
  if (name === "reset") {
    Object.assign(timeline, newTimeline());
    return;
  }
  if (name !== "accepted" && timeline.state === "queued") {
    timeline.state = "running";
  }
  if (typeof content.percent === "number") {
    timeline.percent = Math.max(timeline.percent, content.percent);
  }
  if (name === "phase") {
    onPhase(timeline, content);
  } else if (name === "step") {
    onStep(timeline, content);
  } else if (name === "progress" && content.message) {
    timeline.step = content.message;
  } else if (name === "done") {
    onDone(timeline, content);
  }
}

/**
 * @param {Timeline} timeline
 * @param {any} content
 */
function onPhase(timeline, { phase, status }) {
  if (!(phase in timeline.phases)) {
    return;
  }
  timeline.phases[phase] = status === "finished" ? "finished" : "running";
  // A retry begins at the step that failed: what lies before it needs no work.
  for (const before of PHASES.slice(0, PHASES.indexOf(phase))) {
    timeline.phases[before] = "finished";
  }
  if (status === "started") {
    timeline.step = PHASE_WORDS[phase];
  }
}

/** @type {Record<string, string>} */
const PHASE_WORDS = {
  create: "Creating the container",
  start: "Starting it",
  deploy: "Bringing files and packages",
  sync: "Running the scripts",
  finalize: "Looking at what runs in it",
};

/**
 * @param {Timeline} timeline
 * @param {any} content
 */
function onStep(timeline, { step, status, script, index, total, scripts, seconds, message }) {
  if (scripts?.length && !timeline.scripts.length) {
    timeline.scripts = scripts.map((/** @type {string} */ name) => ({ name, status: "waiting", seconds: null }));
  }
  const row = timeline.scripts[index] ?? timeline.scripts.find((each) => each.name === script);
  if (script && row) {
    row.status = status;
    row.seconds = seconds ?? null;
  }
  if (status === "started" || status === "failed") {
    const text = script ? `Script ${script}${total ? ` (${(index ?? 0) + 1} of ${total})` : ""}` : inWords(step);
    timeline.step = message || text;
  }
}

/** @type {Record<string, string>} */
const END_WORDS = { succeeded: "Done", failed: "Failed", cancelled: "Cancelled" };

/**
 * @param {Timeline} timeline
 * @param {any} content
 */
function onDone(timeline, { state, error, warnings, phase }) {
  timeline.state = state;
  timeline.error = error ?? null;
  timeline.warnings = warnings ?? [];
  timeline.step = END_WORDS[state] ?? state;
  if (phase && timeline.phases[phase] === "waiting") {
    // Of an old job nothing but its end may be known, which names the phase it came to.
    onPhase(timeline, { phase, status: "started" });
    timeline.step = END_WORDS[state] ?? state;
  }
  for (const each of PHASES) {
    if (timeline.phases[each] === "running" || state === "succeeded") {
      timeline.phases[each] = state === "succeeded" ? "finished" : "failed";
    }
  }
  for (const script of timeline.scripts) {
    if (script.status === "started") {
      script.status = state === "succeeded" ? "finished" : "failed";
    }
  }
}

/** @type {Record<string, string>} */
const STEP_WORDS = {
  "create.preflight": "Checking the node, its storage and its network",
  "create.ostemplate": "Finding the operating system's archive",
  "create.task": "Unpacking the operating system",
  "create.features": "Setting features",
  "create.verify": "Reading the configuration back",
  "start.task": "Starting the container",
  "start.address": "Waiting for an address",
  "start.ready": "Waiting until its system has started",
  "deploy.files": "Bringing the template's files",
  "sync.packages": "Installing packages",
  "finalize.health": "Checking that it works",
  "finalize.discover": "Looking for services and credentials",
  "delete.look": "Looking at what is there",
  "delete.stop": "Stopping the container",
  "delete.task": "Deleting the container",
};

/**
 * A step's name as words; one that is not known here is still readable: "Create: some thing".
 *
 * @param {string} step
 * @returns {string}
 */
export function inWords(step = "") {
  if (step in STEP_WORDS) {
    return STEP_WORDS[step];
  }
  if (step.startsWith("sync.packages.")) {
    return `Installing packages with ${step.slice("sync.packages.".length)}`;
  }
  if (step.startsWith("sync.script.")) {
    return "Running a script";
  }
  const [phase, ...rest] = step.split(".");
  const text = rest.join(" ").replaceAll("-", " ");
  const first = phase.charAt(0).toUpperCase() + phase.slice(1);
  return text ? `${first}: ${text}` : first;
}
