// How long ago something was; the instant itself on hover. One clock turns for all of them.
import { html, useEffect, useState } from "./html.js";
import { ago, instant } from "./format.js";

const TURN_MS = 10000;
const listeners = new Set();
let timer = null;

function listen(listener) {
  listeners.add(listener);
  timer ??= setInterval(() => listeners.forEach((one) => one()), TURN_MS);
  return () => {
    listeners.delete(listener);
    if (!listeners.size) {
      clearInterval(timer);
      timer = null;
    }
  };
}

export function When({ ms }) {
  const [, again] = useState(0);
  useEffect(() => listen(() => again((n) => n + 1)), []);
  if (!ms) return html`<span class="muted">–</span>`;
  return html`<time class="when" datetime=${new Date(ms).toISOString()} title=${instant(ms)}>${ago(ms)}</time>`;
}
