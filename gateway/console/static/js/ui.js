// Pieces that every screen is made of.
import { html, useEffect, useRef, useState } from "./html.js";
import { useMutation } from "./use.js";

export function Problem({ problem, retry }) {
  if (!problem) return null;
  return html`<div class="problem" role="alert">
    <b>${problem.title}</b>
    <p>${problem.detail}</p>
    ${problem.errors?.length > 1 && html`<ul>${problem.errors.map((one) => html`<li><code>${one.at}</code> ${one.message}</li>`)}</ul>`}
    ${retry && html`<button class="quiet" onClick=${() => retry()}>Ask again</button>`}
  </div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><h3>${title}</h3><div>${children}</div></div>`;
}

export function Loading({ of }) {
  return html`<div class="loading skeleton" role="status"><span class="unseen">Asking for ${of} …</span><i></i><i></i><i></i><i></i></div>`;
}

const TONES = {
  running: "blue", waiting: "amber", paused: "amber", completed: "good", halted: "bad", aborted: "plain",
  committed: "good", failed: "bad", rolled_back: "bad", pass: "good", passed: "good", promoted: "good",
  done: "good", refused: "bad", waits: "amber", approved: "good", denied: "bad", lapsed: "plain",
  hardware: "bad", both: "bad", data: "amber", sensor: "amber", none: "good", online: "good", offline: "plain",
  open: "amber", halt: "bad", stop: "bad", stopped: "plain", frozen: "amber", kill: "bad", rejected: "bad",
  active: "good", granted: "amber", expired: "plain", revoked: "plain",
};

export function Pill({ of, tone, children }) {
  const word = children ?? of;
  if (!word) return null;
  return html`<span class=${`pill ${tone ?? TONES[of] ?? "plain"}`}>${String(word).replaceAll("_", " ")}</span>`;
}

export function Figure({ title, note, children, tone }) {
  return html`<div class="figure"><h3>${title}</h3><p class=${`number ${tone ?? ""}`}>${children}</p>
    <p class="muted note">${note}</p></div>`;
}

export function Labels({ of }) {
  const found = Object.entries(of ?? {});
  if (!found.length) return html`<span class="muted">–</span>`;
  return html`<span class="labels">${found.map(([key, value]) => html`<span class="label"><i>${key}</i> ${value}</span>`)}</span>`;
}

// -- what happened -------------------------------------------------------------------------------

const tellers = new Set();
let serial = 0;

/** Say a mutation's answer at the foot of the page. */
export function notify(answer, fallback = "Done.") {
  const waits = answer?.waits ?? null;
  const words = waits !== null
    ? `Waits for a second person: request ${waits}.`
    : (answer?.said || []).filter(Boolean).join(" ") || fallback;
  serial += 1;
  const one = { id: serial, words, waits };
  for (const teller of tellers) teller(one);
}

export function Notices() {
  const [notices, set] = useState([]);
  useEffect(() => {
    const teller = (one) => {
      set((before) => [...before.slice(-3), one]);
      setTimeout(() => set((before) => before.filter((other) => other.id !== one.id)), 9000);
    };
    tellers.add(teller);
    return () => tellers.delete(teller);
  }, []);
  return html`<div class="notices" role="status" aria-live="polite">${notices.map((one) => html`<p key=${one.id}>
    ${one.words} ${one.waits !== null && html`<a href="#/approvals">Look at it</a>`}</p>`)}</div>`;
}

// -- asking before doing --------------------------------------------------------------------------

export function Dialog({ title, close, children, wide, kind = "" }) {
  const box = useRef();
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  return html`<dialog ref=${box} class=${wide ? "wide" : kind} aria-labelledby="dialog-title"
      onCancel=${(event) => { event.preventDefault(); close(); }}
      onClick=${(event) => event.target === box.current && close()}>
    <div class="inside"><h2 id="dialog-title">${title}</h2>${children}</div>
  </dialog>`;
}

/**
 * A button that asks first. `request()` gives [path, options] of the mutation, as things were when it was pressed;
 * `again()`, after a 412, gives the newer entity tag where what counts is still the same, else null; `typed`: a word to
 * be typed before.
 */
export function Asking({ children, title, text, request, again, after, typed, tone = "", big, label, yes, disabled }) {
  const [open, set] = useState(false);
  return html`<button class=${`${big ? "big" : "quiet"} ${tone}`} disabled=${disabled} aria-label=${label}
      onClick=${() => set(true)}>${children}</button>
    ${open && html`<${Confirm} ...${{ title, text, request, again, after, typed, tone, yes }} close=${() => set(false)} />`}`;
}

export function Confirm({ title, text, request, again, after, typed, tone, yes, close }) {
  const [word, setWord] = useState("");
  const { busy, problem, run } = useMutation();
  const ready = !typed || word === typed;
  const looked = useRef(null);  // what was on the page when the question was asked
  looked.current ??= request();
  const submit = async (event) => {
    event.preventDefault();
    if (!ready || busy) return;
    const answer = await run(...looked.current, again);
    if (answer === null) {
      after?.(null);
      return;
    }
    notify(answer);
    close();
    after?.(answer);
  };
  return html`<${Dialog} title=${title} close=${close}><form onSubmit=${submit}>
    <div class="text">${text}</div>
    ${typed && html`<label class="field">Type <code>${typed}</code> to confirm
      <input class="mono" value=${word} onInput=${(e) => setWord(e.target.value)} autocomplete="off" spellcheck=${false} /></label>`}
    <${Problem} problem=${problem} />
    <div class="actions">
      <button type="button" class="quiet" onClick=${close}>Cancel</button>
      <button type="submit" class=${`solid ${tone}`} disabled=${!ready || busy}>${busy ? "Asking …" : (yes ?? title)}</button>
    </div>
  </form></${Dialog}>`;
}

export function Field({ label, help, children }) {
  return html`<label class="field"><span>${label}</span>${children}${help && html`<small class="muted">${help}</small>`}</label>`;
}

/** A list that is asked for page by page. */
export function More({ next, more, busy }) {
  if (!next) return null;
  return html`<p class="more"><button class="quiet" disabled=${busy} onClick=${more}>${busy ? "Asking …" : "Show more"}</button></p>`;
}
