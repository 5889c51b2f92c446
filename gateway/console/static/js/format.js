// Numbers, bytes and instants as people read them.
import { extras } from "./extras.js";

export const count = (value) => Number(value ?? 0).toLocaleString("en-US");
export const ratio = (part, whole) => {
  if (!whole) return "–";
  const share = (100 * part) / whole;
  if (share > 0 && share < 0.05) return "< 0.1\u00a0%";
  const exact = share < 10 || share > 99 ? share.toFixed(1) : share.toFixed(0);
  return `${exact.replace(/\.0$/, "")}\u00a0%`;
};

export function bytes(value) {
  let rest = Number(value ?? 0);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (rest < 1024) return `${unit === "B" ? rest : rest.toFixed(rest < 10 ? 1 : 0)} ${unit}`;
    rest /= 1024;
  }
  return `${rest.toFixed(1)} TiB`;
}

export function clock(ms) {
  const at = new Date(ms);
  return at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function instant(ms) {
  if (!ms) return "–";
  const at = new Date(ms);
  const pad = (value) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(ms)}`;
}

export function lasting(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const minutes = Math.floor((s % 3600) / 60);
  if (s < 2 * 86400) return minutes ? `${Math.floor(s / 3600)} h ${minutes} min` : `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

// Of more than a day, minutes say nothing.
const roughly = (ms) => lasting(ms < 86_400_000 ? ms : ms - (ms % 3_600_000));

export const ago = (ms, now = extras.now()) => (ms ? (ms > now ? `in ${roughly(ms - now)}` : `${roughly(now - ms)} ago`) : "–");
/** "1 device", "2 devices". */
export const several = (value, word) => `${count(value)} ${word}${Number(value) === 1 ? "" : "s"}`;

/** A time of day, or day and time where `span` milliseconds are more than one. */
export const stamp = (ms, span) => (span > 86_400_000 ? instant(ms).slice(5, 16) : clock(ms));
export const short = (digest) => (digest ? digest.slice(0, 12) : "");
export const evidence = (value) => (value >= 1e7 ? value.toExponential(1) : value >= 1000 ? count(Math.round(value)) : Number(value).toFixed(value < 10 ? 2 : 1).replace(/\.0+$/, ""));

/** Milliseconds of an RFC 3339 text or of milliseconds. */
export const toMs = (value) => (typeof value === "string" ? Date.parse(value) : Number(value ?? 0));
