// A file becomes a blob of the gateway: named by its SHA-256, sent part by part, gone on with where it stopped.
// Rules: what the gateway has already is not sent again, after a lost connection as after a reload of the page; a gateway
// that does not answer is asked again for a while, then the words are its own or ours.
import { Problem, problemOf, sent } from "./api.js";
import { session } from "./session.js";
import { Sha256 } from "./sha256.js";

const PART_BYTES = 1024 * 1024;
const PATIENCE = 30;
const AGAIN_MS = 1000;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const words = (more) => ({ Authorization: `Bearer ${session.token}`, ...more });

async function digestOf(file, told, signal) {
  const hash = new Sha256();
  for (let at = 0; at < file.size; at += PART_BYTES) {
    signal.throwIfAborted();
    hash.update(new Uint8Array(await file.slice(at, at + PART_BYTES).arrayBuffer()));
    told("reading", Math.min(file.size, at + PART_BYTES));
  }
  return hash.hex();
}

/** How much is there: [bytes, whether that is all]. */
async function there(path, signal) {
  const answer = await sent(path, { method: "HEAD", headers: words(), signal });
  if (answer.ok) return [Number(answer.headers.get("Upload-Offset")), answer.headers.get("Upload-Complete") === "?1"];
  if (answer.status === 404) return [0, false];
  throw new Problem({ title: `HTTP ${answer.status}`, status: answer.status, type: "", detail: answer.status === 403
    ? "Your role may not publish: ask for a token with the role releaser." : "The gateway does not say how much it has." });
}

async function part(path, file, at, signal) {
  const end = Math.min(file.size, at + PART_BYTES);
  const headers = words({ "Content-Type": "application/octet-stream", "Content-Range": `bytes ${at}-${end - 1}/${file.size}` });
  const answer = await sent(path, { method: "PUT", headers, body: file.slice(at, end), signal });
  if (!answer.ok) throw await problemOf(answer);
  return end;
}

/** Whether the same may go better in a while. */
export const passes = (problem) => [0, 409, 429, 503].includes(problem.status);

/**
 * Send a file; gives its digest. told(step, bytes): "reading", "sending" or "waiting", and how far.
 * Throws a Problem, or AbortError when `signal` says so.
 */
export async function upload(file, told, signal) {
  if (!file.size) throw new Problem({ title: "Nothing in it", status: 422, type: "", detail: `expected a bundle's archive, found ${file.name} empty` });
  const digest = await digestOf(file, told, signal);
  const path = `/v1/blobs/${digest}`;
  for (let failures = 0; ; ) {
    let at = 0;
    try {
      let whole;
      [at, whole] = await there(path, signal);
      while (!whole && at < file.size) {
        told("sending", at);
        at = await part(path, file, at, signal);
        failures = 0;
      }
      told("sending", file.size);
      return digest;
    } catch (problem) {
      failures += 1;
      if (!(problem instanceof Problem) || !passes(problem) || failures >= PATIENCE) throw problem;
      told("waiting", at);
      await wait(AGAIN_MS);
      signal.throwIfAborted();
    }
  }
}
