// Asking /v1: the token in a header, errors as the problems that the gateway words, each mutation done once.
import { session } from "./session.js";

const RETRIES_MAX = 2;
const RETRY_MS = 1000;

export class Problem extends Error {
  constructor({ title, detail, status, type, errors }) {
    super(detail || title);
    Object.assign(this, { title, detail, status, type, errors: errors || [] });
  }
}

// Not crypto.randomUUID: it is missing where a page came by plain HTTP from another machine.
function unguessable() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function problemOf(answer) {
  const text = await answer.text();
  try {
    return new Problem(JSON.parse(text));
  } catch {
    return new Problem({ title: `HTTP ${answer.status}`, detail: text.slice(0, 300), status: answer.status });
  }
}

export async function sent(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "No answer", status: 0, type: "offline",
      detail: "The gateway does not answer. Is it running, and is the way to it open? This page tries again.",
    });
  }
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Ask for something. Gives {data, etag, status}; data is null after 304. Throws a Problem. */
export async function ask(path, { method = "GET", body, match, etag, signal, token = session.token } = {}) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (match) headers["If-Match"] = match;
  if (etag) headers["If-None-Match"] = etag;
  if (method !== "GET") headers["Idempotency-Key"] = unguessable();
  const options = { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) };
  for (let round = 0; ; round += 1) {
    const answer = await sent(path, options);
    if (answer.status === 304) return { data: null, etag, status: 304 };
    if (answer.ok) {
      const text = await answer.text();
      return { data: text ? JSON.parse(text) : null, etag: answer.headers.get("ETag"), status: answer.status };
    }
    // The same key again is safe: the gateway does it once.
    if ([429, 503].includes(answer.status) && round < RETRIES_MAX) {
      await wait(1000 * Number(answer.headers.get("Retry-After") || 0) || RETRY_MS);
      continue;
    }
    const problem = await problemOf(answer);
    if (answer.status === 401 && token === session.token && session.who) session.end(problem.detail);
    throw problem;
  }
}

export const segment = encodeURIComponent;

/** Query text of an object; empty values are left out, arrays are repeated. */
export function query(words) {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(words)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== "" && one !== null && one !== undefined) made.append(name, one);
    }
  }
  const text = made.toString();
  return text ? `?${text}` : "";
}

/** All items of a paged list, up to `most`. */
export async function all(path, items, { words = {}, most = 10000, signal } = {}) {
  const found = [];
  let cursor = "";
  do {
    const { data } = await ask(path + query({ ...words, cursor }), { signal });
    found.push(...data[items]);
    cursor = data.next;
  } while (cursor && found.length < most);
  return found;
}
