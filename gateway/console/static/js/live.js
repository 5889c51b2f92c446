// What changes, as it changes: server-sent events, read with fetch, because EventSource sends no Authorization header.
// Rules: a stream that ends is opened again, ever more slowly; whoever listens is told at most twice a second per topic.
import { session } from "./session.js";

const BACK_MS_MIN = 500;
const BACK_MS_MAX = 15000;
const SPARE_MS = 500;

const APART_MS_MIN = 1000;  // less may be the way

/** Whether it is open, and how far the gateway's clock is ahead of this computer's, ms. */
export const live = { state: "off", ahead: 0 };
const topics = new Map();
let stream = null;
let back = BACK_MS_MIN;

/** Call `listener(data)` when `topic` changes; topic "state": the stream itself. Gives the way to end it. */
export function on(topic, listener) {
  if (!topics.has(topic)) topics.set(topic, new Set());
  topics.get(topic).add(listener);
  return () => topics.get(topic).delete(listener);
}

function tell(topic, data) {
  for (const listener of [...(topics.get(topic) || [])]) listener(data);
}

const held = new Map();
function tellSparingly(topic, data) {
  const before = held.get(topic);
  if (before) {
    before.data = data;
    before.again = true;
    return;
  }
  const mine = { data, again: false };
  held.set(topic, mine);
  tell(topic, data);
  setTimeout(() => {
    held.delete(topic);
    if (mine.again) tellSparingly(topic, mine.data);
  }, SPARE_MS);
}

function become(state) {
  if (live.state === state) return;
  live.state = state;
  tell("state", state);
}

function keepTime(said) {
  const ahead = Number(said?.now_ms) - Date.now();
  if (Math.abs(ahead - live.ahead) >= APART_MS_MIN) live.ahead = Math.abs(ahead) < APART_MS_MIN ? 0 : ahead;
}

function hear(block) {
  let topic = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) topic = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (!data.length) return;
  let said = null;
  try {
    said = JSON.parse(data.join("\n"));
  } catch {
    said = null;
  }
  if (topic === "clock") keepTime(said);
  else tellSparingly(topic, said);
}

async function read(signal) {
  const headers = { Authorization: `Bearer ${session.token}`, Accept: "text/event-stream" };
  const answer = await fetch("/v1/events", { headers, signal, cache: "no-store" });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  become("live");
  back = BACK_MS_MIN;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    blocks.forEach(hear);
  }
}

export async function open() {
  close();
  const mine = new AbortController();
  stream = mine;
  while (!mine.signal.aborted) {
    try {
      await read(mine.signal);
    } catch (error) {
      if (mine.signal.aborted) break;
    }
    if (mine.signal.aborted) break;
    become("waiting");
    await new Promise((done) => setTimeout(done, back * (0.5 + Math.random() / 2)));
    back = Math.min(2 * back, BACK_MS_MAX);
  }
}

export function close() {
  if (stream) stream.abort();
  stream = null;
  become("off");
}
