// A rollout in the simulator: the button, how far it is, and the verdict with its story.
import { html, useEffect, useState } from "./html.js";
import { ask, query, segment } from "./api.js";
import { ago, count, lasting } from "./format.js";
import { session } from "./session.js";
import { Pill, Problem } from "./ui.js";
import { useMutation } from "./use.js";

const LOOK_MS = 800;
const IDLE_MS = 15000;
const TONES = { held: "good", failed: "bad", refused: "amber", broken: "amber", lost: "plain", cancelled: "plain", runs: "blue", waits: "amber" };
const OPEN = ["waits", "runs"];
const SENTENCES = {
  held: "Every virtual fleet came through.", failed: "It would go wrong. No device was touched.", refused: "It cannot be rehearsed.",
  broken: "It ended without a verdict.", lost: "It was interrupted.", cancelled: "It was cancelled.", waits: "It waits for its turn.", runs: "It is under way.",
};

/** What `path` answers, asked for again while `open(data)` holds, and now and then. */
function useLooks(path, open) {
  const [found, set] = useState({ path: null, data: null, problem: null });
  const [turn, again] = useState(0);
  useEffect(() => {
    if (!path) return undefined;
    const mine = new AbortController();
    let timer;
    const look = async () => {
      let data = null;
      try {
        ({ data } = await ask(path, { signal: mine.signal }));
        set({ path, data, problem: null });
      } catch (problem) {
        if (problem.name === "AbortError") return;
        set((before) => ({ ...before, path, problem }));
      }
      if (!mine.signal.aborted) timer = setTimeout(look, data && open(data) ? LOOK_MS : IDLE_MS);
    };
    look();
    return () => { mine.abort(); clearTimeout(timer); };
  }, [path, turn]);
  return { ...(found.path === path ? found : { data: null, problem: null }), look: () => again(turn + 1) };
}

/** Of a rollout that is there: its newest rehearsal, and a button for another one. */
export function RolloutRehearsal({ rollout }) {
  const listed = useLooks(`/v1/rehearsals${query({ rollout: rollout.id })}`, () => false);
  const { busy, problem, run } = useMutation();
  const [asked, set] = useState(null);
  if (!listed.data) return null;
  const newest = asked ?? listed.data.rehearsals[0]?.number ?? null;
  const may = session.may("roll-out") && listed.data.able;
  if (newest === null && !may) return null;
  const begin = async () => {
    const answer = await run(`/v1/rollouts/${segment(rollout.id)}/rehearse`, { method: "POST", body: {} });
    if (answer) set(answer.number);
  };
  return html`<section class="rehearsal"><h2>Rehearsal <small>the plan, the fleet's shape and the bundle's own bytes, in the simulator</small></h2>
    ${newest !== null && html`<${Verdict} number=${newest} />`}
    ${may && html`<p class="below"><button class="quiet" disabled=${busy} onClick=${begin}>${newest === null ? "Rehearse it" : "Rehearse it again"}</button></p>`}
    <${Problem} problem=${problem} /></section>`;
}

/** Of a plan that is not created yet; stands in its form. */
export function PlanRehearsal({ plan }) {
  const listed = useLooks("/v1/rehearsals", () => false);
  const { busy, problem, run } = useMutation();
  const [asked, set] = useState(null);
  if (!listed.data || !session.may("roll-out")) return null;
  const { gate, able } = listed.data;
  const now = JSON.stringify(plan);
  const begin = async (event) => {
    if (!event.currentTarget.form.reportValidity()) return;
    const answer = await run("/v1/rehearsals", { method: "POST", body: plan });
    if (answer) set({ number: answer.number, plan: now });
  };
  if (!able && gate !== "required") return null;
  return html`<section class="rehearsal wide" aria-label="Rehearsal">
    <header><div><h2>Rehearse it first</h2><p class="muted">${gate === "required"
      ? "This gateway begins no rollout whose rehearsal has not held, for exactly this plan and bundle."
      : "The simulator takes the fleet's shape, this plan and the bundle's own bytes. No device is touched."}</p></div>
    <button type="button" disabled=${busy || !able} onClick=${begin}>${busy ? "Asking …" : "Rehearse"}</button></header>
    ${!able && html`<p class="muted">There is no simulator beside this gateway.</p>`}
    <${Problem} problem=${problem} />
    ${asked && asked.plan !== now && html`<p class="changed">The plan has been changed since: this verdict is not about it.</p>`}
    ${asked && html`<${Verdict} number=${asked.number} />`}</section>`;
}

export function Verdict({ number }) {
  const { data: one, problem, look } = useLooks(`/v1/rehearsals/${number}`, (data) => OPEN.includes(data.state));
  if (!one) return html`<${Problem} problem=${problem} />`;
  const { verdict } = one;
  return html`<div class=${`verdict ${one.state}`} role="status">
    <p class="line"><${Pill} of=${one.state} tone=${TONES[one.state]} /><b>${SENTENCES[one.state] ?? one.state}</b>
      <span class="muted">number ${one.number}, asked for by ${one.asked_by} ${ago(one.asked_ms)}</span></p>
    ${OPEN.includes(one.state) && html`<${Bar} one=${one} look=${look} />`}
    ${one.why && html`<p class="why">${one.why}</p>`}
    ${one.stale && html`<p class="changed">Since then ${one.stale}.</p>`}
    ${verdict?.story.length > 0 && html`<div class="told"><h3>What happened</h3><ol>${verdict.story.map((line) => html`<li>${line}</li>`)}</ol></div>`}
    ${verdict?.runs.length > 0 && html`<${Runs} one=${one} />`}
    ${verdict?.assumptions.length > 0 && html`<details><summary>${verdict.assumptions.length === 1 ? "One thing was" : `${verdict.assumptions.length} things were`} assumed</summary>
      <ul class="assumed">${verdict.assumptions.map((line) => html`<li>${line}</li>`)}</ul></details>`}</div>`;
}

function Bar({ one, look }) {
  const { busy, problem, run } = useMutation();
  const percent = Math.round(100 * one.share);
  const cancel = async () => {
    await run(`/v1/rehearsals/${one.number}/cancel`, { method: "POST", body: {} });
    look();
  };
  return html`<div class="progress"><div class="gauge" role="progressbar" aria-label="Rehearsed" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${percent}>
    <span class="blue" style=${{ width: `${percent}%` }}></span></div><span class="muted small">${one.doing || "waits for its turn"}</span>
    ${session.may("roll-out") && html`<button type="button" class="quiet" disabled=${busy} onClick=${cancel}>Cancel</button>`}
    <${Problem} problem=${problem} /></div>`;
}

function Runs({ one }) {
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Virtual fleets"><table><thead><tr><th>Fleet</th><th></th><th>Rollout</th><th class="right">Ran the release</th><th class="right">Virtual time</th><th></th></tr></thead>
    <tbody>${one.verdict.runs.map((run) => html`<tr key=${run.seed}><td class="nowrap">seed ${run.seed}</td>
      <td><${Pill} tone=${run.held ? "good" : "bad"}>${run.held ? "held" : "failed"}</${Pill}></td><td class="why">${run.state}${run.why ? html`<span class="muted">: ${run.why}</span>` : ""}</td>
      <td class="right">${count(run.exposed)} of ${count(run.devices)}</td><td class="right">${lasting(run.virtual_s * 1000)}</td>
      <td class="right"><${Report} number=${one.number} run=${run} /></td></tr>`)}</tbody></table></div>`;
}

// A report is a page of its own: it is saved, not shown where a token is at hand.
function Report({ number, run }) {
  const [problem, set] = useState(null);
  const save = async () => {
    const answer = await fetch(`/v1/rehearsals/${number}/reports/${run.seed}`, { headers: { Authorization: `Bearer ${session.token}` } });
    if (!answer.ok) {
      set("not kept");
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `rehearsal-${number}-${run.seed}.html`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };
  if (problem) return html`<span class="muted">${problem}</span>`;
  return html`<button type="button" class="quiet" aria-label=${`Save the report of seed ${run.seed}`} onClick=${save}>Save report</button>`;
}
