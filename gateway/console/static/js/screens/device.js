// One device: what is wanted beside what it says, its labels, its debug mode, and its story.
import { html, useState } from "../html.js";
import { segment } from "../api.js";
import { useBundles } from "../bundles.js";
import { extras } from "../extras.js";
import { bytes, instant } from "../format.js";
import { session } from "../session.js";
import { Asking, Dialog, Field, Labels, Loading, Pill, Problem, notify } from "../ui.js";
import { useMutation, useResource, useTitle } from "../use.js";

export function Device({ words: [id] }) {
  useTitle(id);
  const path = `/v1/devices/${segment(id)}`;
  const { data: device, problem, reload } = useResource(path, ["fleet", "rollouts"], 4000);
  const labels = useResource(`${path}/labels`, ["fleet"]);
  const { name } = useBundles();
  const crumbs = html`<p class="crumbs"><a href="#/devices">Devices</a></p>`;
  if (!device) return html`${crumbs}<h1>${id}</h1>${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : html`<${Loading} of="the device" />`}`;
  return html`${crumbs}
    <div class="heading"><h1>${device.id}</h1><${Pill} of=${device.online ? "online" : "offline"} />${device.trial && html`<${Pill} tone="blue">on trial</${Pill}>`}</div>
    <${Problem} problem=${problem} />
    <p class="line below"><${Labels} of=${device.labels} /> ${session.may("enroll") && labels.data && html`<${LabelsButton} ...${{ path, labels, reload }} />`}</p>
    <${Twin} ...${{ device, name }} />
    <div class="columns">
      <section><h2>Says of itself</h2><dl class="counters">
        ${[["boot", device.boot_id || "–"], ["flags revision", device.flags_rev], ["kill list", device.kill_version],
          ["received", bytes(device.bytes_done)], ["attempt", device.attempt || "–"], ["held back", device.hold ? "yes" : "no"]]
          .map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
        <h3>Quarantine</h3>${device.quarantine.length ? html`<p>${device.quarantine.map((one) => html`<span class="pill bad mono">${name(one)}</span> `)}</p>
          <p class="muted small">It never runs these again, whoever asks.</p>` : html`<p class="muted">Nothing.</p>`}</section>
      <${Debug} device=${device.id} />
    </div>
    <${Story} device=${device} />
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

function Debug({ device }) {
  const { data, problem, reload } = useResource(GRANTS, []);
  const found = (data?.grants ?? []).filter((one) => one.device === device).reverse();
  const newest = found[0];
  const running = newest && newest.state !== "over";
  return html`<section><h2>Debug mode</h2><${Problem} problem=${problem} />
    ${newest ? html`<p><${Pill} of=${newest.state} tone=${running ? "amber" : "plain"} /> <b>${newest.by}</b>: ${newest.why}</p>
      <p class="muted">until ${instant(newest.until_ms)}${newest.ended ? `, ended: ${newest.ended}` : ""}</p>`
    : html`<p class="muted">Nobody ever looked closer at it.</p>`}
    ${session.may("debug") && (running ? html`<${Reasoned} title=${`Revoke debug mode: ${device}`} verb="Revoke" path=${`/v1/debug-grants/${segment(device)}/revoke`} reload=${reload} />`
      : html`<${Reasoned} title=${`Grant debug mode: ${device}`} verb="Grant" path="/v1/debug-grants" device=${device} reload=${reload} />`)}</section>`;
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

/** What was asked for this device, and for the rollout that wants something of it; for those who may read the log. */
function Story({ device }) {
  const may = session.may("audit");
  const { data, problem } = useResource(may ? "/v1/audit?order=newest&limit=500" : null, ["rollouts", "fleet"]);
  const grants = useResource(GRANTS, []);
  const said = (data?.entries ?? []).filter((one) => one.subject === device.id || (device.rollout && one.subject === device.rollout))
    .map((one) => ({ at: one.at_ms, who: one.actor, what: one.verb, subject: one.subject, said: one.said.join(" "), outcome: one.outcome }));
  const looked = (grants.data?.grants ?? []).filter((one) => one.device === device.id).flatMap((one) => [
    one.begun_ms && { at: one.begun_ms, who: one.by, what: "debug mode began", said: one.why },
    one.ended_ms && { at: one.ended_ms, who: one.revoked_by || "device", what: "debug mode ended", said: one.ended },
  ].filter(Boolean));
  const story = [...said, ...looked].sort((a, b) => b.at - a.at);
  return html`<section><h2>Story <small>${may ? "of the newest 500 entries of the log" : "debug mode; the log is for those who may read it"}</small></h2><${Problem} problem=${problem} />
    ${!story.length && html`<p class="muted">Nothing was asked of it lately.</p>`}
    <ol class="story">${story.map((one) => html`<li><time>${instant(one.at)}</time><span><b>${one.what}</b> ${one.subject && one.subject !== device.id && html`<code>${one.subject}</code>`}
      <span class="muted">by ${one.who}</span>${one.outcome && one.outcome !== "done" && html` <${Pill} of=${one.outcome} />`}<br />${one.said}</span></li>`)}</ol></section>`;
}
