// The fleet by time since this page was opened: what was online, in step and on its way at each look.
// Rules: bounded; when it is full, every second point goes, so that the curve keeps its whole width.
import { ask } from "./api.js";
import { extras } from "./extras.js";
import { on } from "./live.js";

const POINTS_MAX = 720;
const LOOK_MS = 5000;

export const past = { fleet: null, points: [] };
const listeners = new Set();

function keep(overview) {
  if (!overview?.fleet) return;
  past.fleet = overview;
  const { online, updating, in_sync: inSync } = overview.fleet;
  const now = extras.now();
  while (past.points.length && past.points.at(-1).at > now - 900) past.points.pop();  // and what lies ahead, where time went back
  past.points.push({ at: now, online, updating, inSync });
  if (past.points.length > POINTS_MAX) past.points = past.points.filter((_, at) => at % 2 === 0);
  for (const listener of listeners) listener();
}

async function look() {
  try {
    const { data } = await ask("/v1/fleet");
    past.problem = null;
    keep(data);
  } catch (problem) {
    past.problem = problem;
    for (const listener of listeners) listener();
  }
}

export function begin() {
  look();
  const timer = setInterval(look, LOOK_MS);
  const end = on("fleet", (said) => (said?.fleet && past.fleet ? keep({ ...past.fleet, ...said }) : look()));
  return () => {
    clearInterval(timer);
    end();
    Object.assign(past, { fleet: null, points: [] });
  };
}

/** Begin the curve anew with points that were known before. */
export function seed(points) {
  past.points = points;
  for (const listener of listeners) listener();
}

export function onPast(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
