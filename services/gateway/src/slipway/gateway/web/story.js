/**
 * What a job's events add up to. Pure: an event comes in, the story is changed, nothing is drawn here.
 */

export const PHASES = ["create", "start", "deploy", "sync", "finalize"];

/** @typedef {"waiting" | "running" | "finished" | "failed"} PhaseStatus */
/** @typedef {{name: string, status: string, seconds: number | null}} Script */

/**
 * @typedef {Object} Story
 * @property {Record<string, PhaseStatus>} phases
 * @property {number} percent
 * @property {string} state
 * @property {string} step in words
 * @property {Script[]} scripts
 * @property {string[]} warnings
 * @property {import("./api.js").ProblemBody | null} error
 */

/** @returns {Story} */
export function newStory() {
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
 * @param {Story} story
 * @param {string} name
 * @param {any} content
 */
export function tell(story, name, content) {
  if (name === "reset") {
    Object.assign(story, newStory());
    return;
  }
  if (name !== "accepted" && story.state === "queued") {
    story.state = "running";
  }
  if (typeof content.percent === "number") {
    story.percent = Math.max(story.percent, content.percent);
  }
  if (name === "phase") {
    onPhase(story, content);
  } else if (name === "step") {
    onStep(story, content);
  } else if (name === "progress" && content.message) {
    story.step = content.message;
  } else if (name === "done") {
    onDone(story, content);
  }
}

/**
 * @param {Story} story
 * @param {any} content
 */
function onPhase(story, { phase, status }) {
  if (!(phase in story.phases)) {
    return;
  }
  story.phases[phase] = status === "finished" ? "finished" : "running";
  // A retry begins at the step that failed: what lies before it needs no work.
  for (const before of PHASES.slice(0, PHASES.indexOf(phase))) {
    story.phases[before] = "finished";
  }
  if (status === "started") {
    story.step = PHASE_WORDS[phase];
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
 * @param {Story} story
 * @param {any} content
 */
function onStep(story, { step, status, script, index, total, scripts, seconds, message }) {
  if (scripts?.length && !story.scripts.length) {
    story.scripts = scripts.map((/** @type {string} */ name) => ({ name, status: "waiting", seconds: null }));
  }
  const told = story.scripts[index] ?? story.scripts.find((each) => each.name === script);
  if (script && told) {
    told.status = status;
    told.seconds = seconds ?? null;
  }
  if (status === "started" || status === "failed") {
    const words = script ? `Script ${script}${total ? ` (${(index ?? 0) + 1} of ${total})` : ""}` : inWords(step);
    story.step = message || words;
  }
}

/** @type {Record<string, string>} */
const END_WORDS = { succeeded: "Done", failed: "Failed", cancelled: "Cancelled" };

/**
 * @param {Story} story
 * @param {any} content
 */
function onDone(story, { state, error, warnings, phase }) {
  story.state = state;
  story.error = error ?? null;
  story.warnings = warnings ?? [];
  story.step = END_WORDS[state] ?? state;
  if (phase && story.phases[phase] === "waiting") {
    // Of an old job nothing but its end may be known, which names the phase it came to.
    onPhase(story, { phase, status: "started" });
    story.step = END_WORDS[state] ?? state;
  }
  for (const each of PHASES) {
    if (story.phases[each] === "running" || state === "succeeded") {
      story.phases[each] = state === "succeeded" ? "finished" : "failed";
    }
  }
  for (const script of story.scripts) {
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
  const words = rest.join(" ").replaceAll("-", " ");
  const first = phase.charAt(0).toUpperCase() + phase.slice(1);
  return words ? `${first}: ${words}` : first;
}
