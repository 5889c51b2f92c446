// Publishing by browser: a signed archive is chosen or dropped, sent, opened by the gateway, looked at, registered.
// Rules: it was signed elsewhere; nothing is registered before somebody saw what it is and pressed the button.
import { html, useEffect, useRef, useState } from "../html.js";
import { ask } from "../api.js";
import { renewBundles, useBundles } from "../bundles.js";
import { bytes } from "../format.js";
import { Dialog, Problem, notify } from "../ui.js";
import { passes, upload } from "../upload.js";
import { useMutation } from "../use.js";

const STEPS = {
  reading: "Reading it", sending: "Sending it", waiting: "The gateway does not answer. Trying again", opening: "The gateway opens it",
};

/** Files that are dropped anywhere on the page while it is shown: drop(file); gives whether one hovers. */
export function useDrop(drop) {
  const [over, set] = useState(false);
  const latest = useRef(drop);
  latest.current = drop;
  useEffect(() => {
    const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const hover = (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      set(true);
    };
    const leave = (event) => { if (!event.relatedTarget) set(false); };
    const dropped = (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      set(false);
      if (event.dataTransfer.files.length) latest.current(event.dataTransfer.files[0]);
    };
    const all = [["dragover", hover], ["dragleave", leave], ["drop", dropped]];
    all.forEach(([name, listener]) => addEventListener(name, listener));
    return () => all.forEach(([name, listener]) => removeEventListener(name, listener));
  }, []);
  return over;
}

export function Publish({ file, choose, close, done }) {
  const [step, setStep] = useState(null);  // {name, bytes}
  const [opened, setOpened] = useState(null);
  const [problem, setProblem] = useState(null);
  const [round, again] = useState(0);
  const mutation = useMutation();
  useEffect(() => {
    setOpened(null);
    setProblem(null);
    if (!file) return undefined;
    const mine = new AbortController();
    const told = (name, count) => !mine.signal.aborted && setStep({ name, bytes: count });
    (async () => {
      try {
        const digest = await upload(file, told, mine.signal);
        told("opening", file.size);
        const { data } = await ask(`/v1/archives/${digest}`, { method: "POST", signal: mine.signal });
        setOpened(data);
      } catch (error) {
        if (!mine.signal.aborted) setProblem(error);
      } finally {
        if (!mine.signal.aborted) setStep(null);
      }
    })();
    return () => mine.abort();
  }, [file, round]);
  const publish = async (event) => {
    event.preventDefault();
    const answer = await mutation.run("/v1/bundles", { method: "POST", body: { digest: opened.digest } });
    if (answer === null) return;
    renewBundles();
    notify(answer, `${opened.bundle} is published.`);
    close();
    done(opened.bundle);
  };
  return html`<${Dialog} title="Publish a bundle" close=${close} wide><form onSubmit=${publish}>
    ${!step && !opened && html`<${Choose} choose=${choose} />`}
    ${step && html`<${Progress} ...${step} file=${file} />`}
    ${opened && html`<${Seen} opened=${opened} file=${file} />`}
    ${problem && html`<p class="below"><b>${file.name}</b> <span class="muted">cannot be published:</span></p>`}
    <${Problem} problem=${problem ?? mutation.problem} retry=${problem && passes(problem) && (() => again((n) => n + 1))} />
    <div class="actions"><button type="button" class="quiet" onClick=${close}>Cancel</button>
      <button class="solid" disabled=${!opened || mutation.busy}>${opened ? `Publish ${opened.bundle}` : "Publish"}</button></div></form></${Dialog}>`;
}

function Choose({ choose }) {
  const [over, set] = useState(false);
  const input = useRef();
  const taken = (files) => files.length && choose(files[0]);
  return html`<div class="text"><p>A <b>signed archive</b>: what <code>fleetdrill bundle build --key targets.key</code> makes. The key itself never comes here.</p></div>
    <label class=${`drop ${over ? "over" : ""}`} onDragOver=${() => set(true)} onDragLeave=${() => set(false)} onDrop=${() => set(false)}>
      <span><b>Drop it here</b> or choose it</span>
      <input ref=${input} type="file" accept=".zip,application/zip" aria-label="Bundle archive" onChange=${(e) => taken(e.target.files)} /></label>`;
}

function Progress({ name, bytes: count, file }) {
  const known = name !== "opening";
  return html`<div class="sending" role="status"><p><b>${file.name}</b> <span class="muted">${bytes(file.size)}</span></p>
    <progress aria-label=${STEPS[name]} max=${file.size} value=${known ? count : undefined}></progress>
    <p class="muted">${STEPS[name]}${known ? ` · ${bytes(count)} of ${bytes(file.size)}` : " …"}</p>
    <p class="muted small">When it is cut off, choose the same file again: it goes on where it stopped.</p></div>`;
}

function Seen({ opened, file }) {
  const id = opened.bundle.split("@")[0];
  const older = useBundles().list.some((one) => one.id === id && one.name !== opened.bundle);
  const rows = [["Bundle", html`<b>${opened.bundle}</b>`], ["File", file.name], ["For devices", bytes(opened.bytes)],
    ["Digest", html`<span class="mono breaks">${opened.digest}</span>`]];
  return html`<dl class="seen">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <p class="muted">Publishing checks its signature and registers it. No device fetches it before you roll it out.</p>
    ${older && html`<p class="muted below">Published here it comes without deltas: devices that run an older ${id} fetch all of it. Deltas take a processor for seconds, which the gateway
      keeps for devices; this command makes them where the file is, before or after: <code>fleetdrill bundle publish ${file.name}</code></p>`}`;
}
