// One device: what is wanted beside what it says, its labels, its debug mode, what happened to it, and its story.
import { html, useState } from "../html.js";
import { segment } from "../api.js";
import { useBundles } from "../bundles.js";
import { extras } from "../extras.js";
import { bytes, instant } from "../format.js";
import { session } from "../session.js";
import { Asking, Dialog, Field, Labels, Loading, Pill, Problem, notify } from "../ui.js";
import { useMutation, useResource, useTitle } from "../use.js";
import { When } from "../when.js";
import { Lately, Story, Vitals, useHistory } from "./device_history.js";

export function Device({ words: [id] }) {
  useTitle(id);
  const path = `/v1/devices/${segment(id)}`;
  const { data: device, problem, reload } = useResource(path, ["fleet", "rollouts"], 4000);
  const labels = useResource(`${path}/labels`, ["fleet"]);
  const { name } = useBundles();
  const history = useHistory(id);
  const debug = useResource(GRANTS, []);
  const grants = (debug.data?.grants ?? []).filter((one) => one.device === id);
  const crumbs = html`<p class="crumbs"><a href="#/devices">Devices</a></p>`;
  if (!device) return html`${crumbs}<h1>${id}</h1>${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : html`<${Loading} of="the device" />`}`;
  return html`${crumbs}
    <div class="heading"><h1>${device.id}</h1><${Pill} of=${device.online ? "online" : "offline"} />${device.trial && html`<${Pill} tone="blue">on trial</${Pill}>`}</div>
    <${Problem} problem=${problem} />
    <p class="line below"><${Labels} of=${device.labels} /> ${session.may("enroll") && labels.data && html`<${LabelsButton} ...${{ path, labels, reload }} />`}</p>
    <div class="columns"><section><h2>Wanted and reported</h2><${Twin} ...${{ device, name }} /></section><${Lately} ...${{ history, device }} />
      <section><h2>Says of itself</h2><dl class="counters">
        ${[["boot", device.boot_id || "–"], ["flags revision", device.flags_rev], ["kill list", device.kill_version],
          ["received", bytes(device.bytes_done)], ["attempt", device.attempt || "–"], ["held back", device.hold ? "yes" : "no"]]
          .map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
        <h3>Quarantine</h3>${device.quarantine.length ? html`<p>${device.quarantine.map((one) => html`<span class="pill bad mono">${name(one)}</span> `)}</p>
          <p class="muted small">It never runs these again, whoever asks.</p>` : html`<p class="muted">Nothing.</p>`}</section>
      <${Debug} device=${device.id} ...${{ grants, problem: debug.problem, reload: debug.reload }} />
    </div>
    <${Vitals} history=${history} /><${Story} ...${{ device, history, name, grants }} />
    ${extras.device && html`<${extras.device} key=${device.id} device=${device.id} />`}`;
}

function Twin({ device, name }) {
  const same = device.wanted === device.running;
  const link = device.rollout && html`<a href=${`#/rollouts/${segment(device.rollout)}`}>${device.rollout}</a>`;
  const rows = [
    ["Bundle", device.wanted ? name(device.wanted) : "–", device.running ? name(device.running) : "–", !device.wanted || same],
    ["Generation", device.generation || "–", device.seen_generation || "–", device.generation === device.seen_generation],
    ["Purpose, state", device.purpose || "–", html`${device.state.replaceAll("_", " ")} ${device.reason && html`<span class="muted">${device.reason}</span>`}`, true],
    ["Rollout, outcome", link || "–", device.outcome.replaceAll("_", " ") || "–", !["failed", "rolled_back", "rejected"].includes(device.outcome)],
  ];
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Wanted and reported"><table class="twin"><thead><tr><th><span class="unseen">What</span></th><th>Wanted</th><th>Reported</th><th><span class="unseen">In step</span></th></tr></thead>
    <tbody>${rows.map(([title, wanted, reported, agrees]) => html`<tr><th scope="row">${title}</th><td>${wanted}</td><td>${reported}</td>
      <td>${agrees ? html`<span class="muted">in step</span>` : html`<${Pill} tone="amber">apart</${Pill}>`}</td></tr>`)}</tbody></table></div>`;
}

function LabelsButton({ path, labels, reload }) {
  const [text, set] = useState(null);
  const { busy, problem, run, forget } = useMutation();
  const begin = () => {
    forget();
    set(Object.entries(labels.data.labels).map(([key, value]) => `${key}:${value}`).join("\n"));
  };
  const submit = async (event) => {
    event.preventDefault();
    const made = Object.fromEntries(text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
      const at = line.indexOf(":");
      return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }));
    const answer = await run(`${path}/labels`, { method: "PUT", body: { labels: made }, match: labels.etag });
    labels.reload();
    if (answer === null) return;
    notify(answer, "The labels are kept.");
    set(null);
    reload();
  };
  return html`<button class="quiet" onClick=${begin}>Edit labels</button>
    ${text !== null && html`<${Dialog} title="Labels" close=${() => set(null)}><form onSubmit=${submit}>
      <${Field} label="One on each line, name:value"><textarea class="mono" rows="6" value=${text} onInput=${(e) => set(e.target.value)}></textarea></${Field}>
      <${Problem} problem=${problem} />
      <div class="actions"><button type="button" class="quiet" onClick=${() => set(null)}>Cancel</button><button class="solid" disabled=${busy}>Keep</button></div></form></${Dialog}>`}`;
}

const GRANTS = "/v1/debug-grants?limit=1000";

function Debug({ device, grants, problem, reload }) {
  const newest = grants.at(-1);
  const running = newest && newest.state !== "over";
  return html`<section><h2>Debug mode</h2><${Problem} problem=${problem} />
    ${newest ? html`<p><${Pill} of=${newest.state} tone=${running ? "amber" : "plain"} /> <b>${newest.by}</b>: ${newest.why}</p>
      <p class="muted">${newest.ended ? html`granted until <span class="nowrap">${instant(newest.until_ms)}</span>, ended: ${newest.ended.replace(":", ": ")}` : html`ends <${When} ms=${newest.until_ms} />`}</p>`
    : html`<p class="muted">Nobody ever looked closer at it.</p>`}
    <p class="below">${session.may("debug") && (running ? html`<${Reasoned} title=${`Revoke debug mode: ${device}`} verb="Revoke" path=${`/v1/debug-grants/${segment(device)}/revoke`} reload=${reload} />`
      : html`<${Reasoned} title=${`Grant debug mode: ${device}`} verb="Grant" path="/v1/debug-grants" device=${device} reload=${reload} />`)}</p></section>`;
}

function Reasoned({ title, verb, path, device, reload }) {
  const [open, set] = useState(false);
  const [why, setWhy] = useState("");
  const [lasts, setLasts] = useState("30m");
  const { busy, problem, run } = useMutation();
  const submit = async (event) => {
    event.preventDefault();
    const answer = await run(path, { method: "POST", body: device ? { device, lasts, why } : { why } });
    if (answer === null) return;
    notify(answer);
    set(false);
    reload();
  };
  return html`<button class="quiet" onClick=${() => set(true)}>${verb}</button>
    ${open && html`<${Dialog} title=${title} close=${() => set(false)}><form onSubmit=${submit}>
      ${device && html`<p class="text">Its owner must have agreed, on the device. Everything is written down.</p><${Field} label="Lasts"><input required value=${lasts} onInput=${(e) => setLasts(e.target.value)} /></${Field}>`}
      <${Field} label="Why"><input required value=${why} onInput=${(e) => setWhy(e.target.value)} /></${Field}><${Problem} problem=${problem} />
      <div class="actions"><button type="button" class="quiet" onClick=${() => set(false)}>Cancel</button><button class="solid" disabled=${busy}>${verb}</button></div></form></${Dialog}>`}`;
}
