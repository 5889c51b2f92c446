// Flags by segment, and the kill switch.
import { html, useState } from "../html.js";
import { segment as word } from "../api.js";
import { useBundles } from "../bundles.js";
import { session } from "../session.js";
import { Asking, Confirm, Dialog, Empty, Field, Loading, Pill, Problem, notify } from "../ui.js";
import { useMutation, useResource, useTitle } from "../use.js";

const SWITCH = { state: "ENABLED", variants: { on: true, off: false }, defaultVariant: "on" };
// Browsers read these as another address, however they are escaped: nothing new is called so (gateway/core/names.py).
const unaskable = (name) => name === "." || name === "..";
const OTHERWISE = "expected a name that can be a part of an address: choose another";
const USUAL = "all";  // of devices whose configuration names none

export function Flags() {
  useTitle("Flags and kill");
  const segments = useResource("/v1/flags?limit=1000", ["flags"]);
  const found = segments.data?.segments ?? [];
  return html`<h1>Flags and kill</h1>
    <${KillSwitch} />
    <section><div class="heading"><h2>Flags</h2>${session.may("flag") && html`<${NewFlag} segments=${found.map((one) => one.segment)} reload=${segments.reload} />`}</div>
      <${Problem} problem=${segments.problem} retry=${segments.problem && segments.reload} />
      ${!segments.data && !segments.problem && html`<${Loading} of="flags" />`}
      ${segments.data && !found.length && html`<${Empty} title="No flag is set"><p>Devices behave as their bundle says. A flag changes that without a new bundle:</p>
        <pre>fleetdrill flag set all dashboard.dark '${JSON.stringify(SWITCH)}'</pre></${Empty}>`}
      ${found.map((one) => html`<${Segment} key=${one.segment} name=${one.segment} />`)}</section>`;
}

// -- kill ------------------------------------------------------------------------------------------

// What is called so can live again all the same.
const killed = (feature) => (unaskable(feature) ? `/v1/kills?feature=${word(feature)}` : `/v1/kills/${word(feature)}`);

function KillSwitch() {
  const { data, etag, problem, reload } = useResource("/v1/kills", ["kills"], 5000);
  const { list } = useBundles();
  const [feature, set] = useState("");
  const [asking, ask] = useState(false);
  const name = feature.trim();
  const known = [...new Set(list.map((one) => one.id))].filter((id) => !data?.features.includes(id));
  return html`<section class="kill"><h2>Kill</h2><p class="muted">A killed feature is off on every device that is reached, at once, whatever its flags and its bundle say.</p>
    <${Problem} problem=${problem} />
    ${session.may("kill") && html`<form class="line" onSubmit=${(event) => { event.preventDefault(); if (name && !unaskable(name)) ask(true); }}>
      <input aria-label="Feature to kill" placeholder="feature, such as gauge" list="features" value=${feature} onInput=${(e) => set(e.target.value)} autocomplete="off" spellcheck=${false} />
      <datalist id="features">${known.map((id) => html`<option value=${id}></option>`)}</datalist>
      <button class="big bad solid" disabled=${!name || unaskable(name)}>Kill it everywhere</button></form>`}
    ${unaskable(name) && html`<p class="problem" role="alert">${OTHERWISE}</p>`}
    ${asking && html`<${Confirm} title=${`Kill ${name} everywhere?`} yes="Kill it" tone="bad" typed=${name} close=${() => ask(false)}
      text=${html`<p>Every device that is connected stops it within seconds; the others when they are back.</p>`}
      request=${() => [`/v1/kills/${word(name)}`, { method: "PUT", match: etag }]} after=${(answer) => { reload(); if (answer) set(""); }} />`}
    ${data && (data.features.length ? html`<ul class="plainlist">${data.features.map((one) => html`<li class="line"><${Pill} tone="bad">killed</${Pill}> <b>${one}</b>
      ${session.may("kill") && html`<${Asking} title=${`Revive ${one}?`} yes="Revive it" typed=${one} label=${`Revive ${one}`} text=${html`<p>Devices may run it again, as their flags and bundle say.</p>`}
        request=${() => [killed(one), { method: "DELETE", match: etag }]} after=${() => reload()}>Revive</${Asking}>`}</li>`)}</ul>`
    : html`<p>Nothing is killed: everything may run.</p>`)}</section>`;
}

// -- flags -----------------------------------------------------------------------------------------

function Segment({ name }) {
  const { data, problem, reload } = useResource(`/v1/flags/${word(name)}`, ["flags"]);
  if (!data) return html`<${Problem} problem=${problem} />`;
  return html`<section class="segment"><h3><span class="muted">segment</span> ${name} <small class="muted">revision ${data.rev}</small></h3><div class="scrolls" tabindex="0" role="region" aria-label=${`Flags of ${name}`}><table class="flags">
    <thead><tr><th>Flag</th><th>State</th><th>By default</th><th class="wide">Variants</th><th><span class="unseen">Doing</span></th></tr></thead>
    <tbody>${Object.entries(data.flags).map(([flag, definition]) => html`<${Flag} key=${flag} segment=${name} ...${{ flag, definition, reload }} />`)}</tbody></table></div></section>`;
}

function Flag({ segment, flag, definition, reload }) {
  const [open, set] = useState(false);
  const enabled = definition.state === "ENABLED";
  const variants = Object.entries(definition.variants ?? {}).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join(", ");
  return html`<tr><td><b class="mono cut" title=${flag}>${flag}</b></td><td><${Pill} tone=${enabled ? "good" : "plain"}>${enabled ? "enabled" : "disabled"}</${Pill}></td>
    <td class="mono">${definition.defaultVariant ?? "–"}${definition.targeting && Object.keys(definition.targeting).length > 0 && html` <span class="muted">and rules</span>`}</td>
    <td class="wide muted mono"><span class="cut" title=${variants}>${variants}</span></td>
    <td class="right">${session.may("flag") && html`<button class="quiet" aria-label=${`Change ${flag}`} onClick=${() => set(true)}>Change</button>`}
      ${open && html`<${Change} segment=${segment} flag=${flag} close=${() => set(false)} reload=${reload} />`}</td></tr>`;
}

function Change({ segment, flag, close, reload }) {
  const path = `/v1/flags/${word(segment)}/${word(flag)}`;
  const { data, etag, problem } = useResource(path, [], 3600000);
  return html`<${Dialog} title=${`${segment}: ${flag}`} close=${close} wide>${data ? html`<${Editor} ...${{ path, etag, close, reload, definition: data.definition }} />`
    : html`<${Problem} problem=${problem} /><${Loading} of="the flag" />`}</${Dialog}>`;
}

function NewFlag({ segments, reload }) {
  const [open, set] = useState(false);
  const [chosen, setSegment] = useState(null);
  const [flag, setFlag] = useState("");
  const segment = chosen ?? (segments.length ? segments[0] : USUAL);
  const said = segments.includes(segment) ? "Devices listen to one segment each." : `New: only devices whose configuration names it listen${segment === USUAL ? ", and those whose configuration names none" : ""}.`;
  return html`<button class="solid" data-new onClick=${() => set(true)}>New flag</button>
    ${open && html`<${Dialog} title="New flag" close=${() => set(false)} wide>
      <div class="pair"><${Field} label="Segment" help=${segment && said}><input required list="segments" autocomplete="off" spellcheck=${false} value=${segment} onInput=${(e) => setSegment(e.target.value.trim())} /></${Field}>
        <${Field} label="Flag" help=${unaskable(flag) && OTHERWISE}><input required class="mono" autocomplete="off" spellcheck=${false} value=${flag} onInput=${(e) => setFlag(e.target.value.trim())} /></${Field}></div>
      <datalist id="segments">${[...new Set([...segments, USUAL])].map((one) => html`<option value=${one}></option>`)}</datalist>
      <${Editor} path=${segment && flag && !unaskable(flag) ? `/v1/flags/${word(segment)}/${word(flag)}` : null} definition=${SWITCH} close=${() => { set(false); setSegment(null); setFlag(""); }} reload=${reload} /></${Dialog}>`}`;
}

function Editor({ path, etag, definition, close, reload }) {
  const [text, set] = useState(JSON.stringify(definition, null, 2));
  const { busy, problem, run } = useMutation();
  let read = null;
  let wrong = "";
  try {
    read = JSON.parse(text);
  } catch (error) {
    wrong = error.message;
  }
  const with_ = (change) => set(JSON.stringify({ ...read, ...change }, null, 2));
  const submit = async (event) => {
    event.preventDefault();
    const answer = await run(path, { method: "PUT", body: { definition: read }, match: etag });
    if (answer === null) return;
    notify(answer, "The flag is set.");
    close();
    reload();
  };
  return html`<form onSubmit=${submit}>
    ${read && html`<div class="pair"><${Field} label="State"><select value=${read.state} onChange=${(e) => with_({ state: e.target.value })}><option>ENABLED</option><option>DISABLED</option></select></${Field}>
      <${Field} label="By default"><select value=${read.defaultVariant} onChange=${(e) => with_({ defaultVariant: e.target.value })}>${Object.keys(read.variants ?? {}).map((name) => html`<option>${name}</option>`)}</select></${Field}></div>`}
    <${Field} label="Definition" help="As flagd has it: state, variants, defaultVariant, targeting."><textarea class="mono" rows="12" spellcheck=${false} value=${text} onInput=${(e) => set(e.target.value)}></textarea></${Field}>
    ${wrong && html`<p class="problem" role="alert">expected JSON, found: ${wrong}</p>`}<${Problem} problem=${problem} />
    <div class="actions"><button type="button" class="quiet" onClick=${close}>Cancel</button><button class="solid" disabled=${busy || !read || !path}>Set it</button></div></form>`;
}
