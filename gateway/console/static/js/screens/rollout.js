// One rollout: what it does, why it waits, its waves and gates, and the buttons that steer it.
import { html } from "../html.js";
import { ask, segment } from "../api.js";
import { count, evidence, instant, lasting, ratio } from "../format.js";
import { RolloutRehearsal } from "../rehearsal.js";
import { session } from "../session.js";
import { Asking, Labels, Loading, Pill, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";
import { Progress } from "./rollout_curve.js";
import { Legend, Wave, Waves, sum } from "./waves.js";

const SENTENCES = {
  waiting: "It waits.", running: "It is under way.", paused: "Somebody paused it: nobody new is offered the release.",
  completed: "It is done.", halted: "A gate halted it: nobody new is offered the release.", aborted: "Somebody ended it.",
};
// Which verb fits which phase is decided by the gateway; what it would refuse anyway is not offered.
const VERBS = [
  { how: "pause", name: "Pause", when: ["running"], text: "Nobody new is offered the release. Devices on their way finish." },
  { how: "resume", name: "Resume", tone: "good", when: ["paused"], text: "It goes on with the wave it is in." },
  { how: "retry", name: "Retry", when: ["halted", "completed", "aborted"],
    text: "Devices that did not take the release are offered it again, in new waves; the evidence begins anew." },
  { how: "abort-keep", name: "Abort and keep", tone: "bad", when: ["running", "waiting", "paused"], typed: true,
    text: "It ends. Devices that run the release keep it; nobody new is offered it." },
  { how: "abort-revert", name: "Abort and revert", tone: "bad", when: ["running", "waiting", "paused"], typed: true,
    text: "It ends, and every device that took the release goes back to what it ran before." },
  { how: "abort-revert", name: "Revert", tone: "bad", when: ["halted", "completed"], typed: true,
    text: "Every device that took the release goes back to what it ran before." },
];

export function Rollout({ words: [id] }) {
  useTitle(id);
  const path = `/v1/rollouts/${segment(id)}`;
  const { data: rollout, etag, problem, reload } = useResource(path, ["rollouts", "fleet"], 5000);
  if (!rollout) return html`<p class="crumbs"><a href="#/rollouts">Rollouts</a></p><h1>${id}</h1>
    ${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : html`<${Loading} of="the rollout" />`}`;
  const total = sum(rollout.waves);
  const plan = rollout.plan;
  const planned = plan && !["completed", "halted", "aborted"].includes(rollout.state) ? plan.waves.filter((share) => share > (rollout.waves.at(-1)?.share ?? 0)) : [];
  return html`<p class="crumbs"><a href="#/rollouts">Rollouts</a></p>
    <div class="heading"><h1>${rollout.id}</h1><span class="mono muted">${rollout.bundle}</span><${Pill} of=${rollout.state} /></div>
    <${Problem} problem=${problem} />
    <div class=${`callout ${rollout.state}`}><p><b>${SENTENCES[rollout.state] ?? rollout.state}</b> ${rollout.why === "paused by an operator" ? "" : rollout.why}</p></div>
    ${rollout.approval !== null && rollout.approval !== undefined && session.may("approve") && html`<${Waiting} ...${{ rollout, path, etag, reload }} />`}
    ${session.may("steer") && html`<${Steering} ...${{ rollout, path, etag, reload }} />`}
    <section><h2>Devices <small>${rollout.waves.length ? `${count(total.committed)} of ${count(total.size)} in ${rollout.waves.length === 1 ? "one wave" : `${rollout.waves.length} waves`} so far` : "nobody was offered it yet"}</small></h2>
      <${Waves} waves=${rollout.waves} /><${Legend} /></section>
    <${Progress} rollout=${rollout} />
    ${plan && html`<${Plan} plan=${plan} />`}
    <${RolloutRehearsal} key=${rollout.id} rollout=${rollout} />
    <section><h2>Waves</h2>${rollout.waves.length ? html`
        <ol class="wavelist">${rollout.waves.map((wave, at) => html`<${Wave} wave=${wave} number=${at} limit=${plan?.evidence} />`)}
        ${planned.map((share, at) => html`<${Planned} share=${share} number=${rollout.waves.length + at} />`)}</ol>`
      : html`<p class="muted">No wave has begun.</p>`}
      ${rollout.waves.length > 0 && html`<p class="muted small below">Evidence is a likelihood factor against the release: 1 says nothing; the gate halts where it reaches its
        limit. False alarms are at most one in that many. Numbers of a wave count devices.</p>`}</section>`;
}

/** A wave that opens when somebody says so. */
function Waiting({ rollout: { id, approval }, path, etag, reload }) {
  const decide = (how, name, tone, text) => html`<${Asking} big tone=${tone} title=${`${name}: ${id}?`} yes=${name} text=${html`<p>${text}</p>`}
    request=${() => [`${path}/${how}`, { method: "POST", body: { wave: approval, why: "" }, match: etag }]}
    again=${async () => { const { data, etag: newer } = await ask(path); return data.approval === approval ? newer : null; }} after=${() => reload()}>${name}</${Asking}>`;
  return html`<div class="steering" role="group" aria-label="Decide on a wave">${decide("approve", `Approve wave ${approval}`, "good", "The wave opens.")}
    ${decide("deny", `Deny wave ${approval}`, "bad", "The rollout ends. Devices that run the release keep it.")}</div>`;
}

function Planned({ share, number }) {
  return html`<li class="wave planned"><header><h3>Wave ${number}</h3><span class="muted">up to ${ratio(share, 1)} of the fleet</span></header>
    <p class="muted">Not begun.</p></li>`;
}

function Plan({ plan }) {
  const labels = Object.keys(plan.selector).length;
  return html`<section><h2>Plan</h2><dl class="counters plan">
    <div><dt>to</dt><dd>${labels ? html`<${Labels} of=${plan.selector} />` : "the whole fleet"}</dd></div>
    <div><dt>waves</dt><dd>${plan.waves.map((share) => ratio(share, 1)).join(", ")}</dd></div>
    <div><dt>soak after each</dt><dd>${lasting(plan.soak_s * 1000)}</dd></div>
    <div><dt>tolerated failures</dt><dd>${ratio(plan.failures, 1)}</dd></div>
    <div><dt>evidence that halts</dt><dd>${evidence(plan.evidence)}</dd></div>
    <div><dt>quorum</dt><dd>${ratio(plan.quorum, 1)}</dd></div>
    <div><dt>when it halts</dt><dd>${plan.on_halt === "revert" ? "back to what ran before" : "hold"}</dd></div>
    ${paced(plan).map(([word, value, help]) => html`<div class="words"><dt>${word}</dt><dd>${value}</dd>${help && html`<dd class="help">${help}</dd>`}</div>`)}</dl></section>`;
}

/** When it may go on, and with how many at once: only what was asked for. */
function paced({ starts_ms: starts, windows, zone, budgets, approvals, late_per_hour: late, late_after_gate: after, expires_s: expires }) {
  const most = Object.entries(budgets);
  return [
    starts > 0 && ["not before", instant(starts)],
    windows.length > 0 && ["windows", windows.map((one) => html`<span>${one.replace("Mon,Tue,Wed,Thu,Fri", "Mon–Fri")}</span>`), `on each device's own clock${zone ? `, else ${zone}` : ""}`],
    most.length > 0 && ["at once, at most", most.map(([label, limit]) => html`<span>${limit} of each ${label}</span>`), "updating or offline"],
    approvals.length > 0 && [approvals.length === 1 ? "approval before wave" : "approval before waves", approvals.join(", ")],
    (late > 0 || after) && ["who joins late", [late > 0 && `${count(late)} an hour`, after && "after the last gate"].filter(Boolean).join(", ")],
    expires > 0 && ["may begin within", lasting(expires * 1000), "of its wave's opening"],
  ].filter(Boolean);
}

function Steering({ rollout, path, etag, reload }) {
  const shown = VERBS.filter((verb) => verb.when.includes(rollout.state));
  if (!shown.length) return null;
  const { state, waves } = rollout;
  // Counts change all the time while devices answer; who steers decided by the state and by the wave.
  const again = async () => {
    const { data, etag: newer } = await ask(path);
    return data.state === state && data.waves.length === waves.length ? newer : null;
  };
  return html`<div class="steering" role="group" aria-label="Steer the rollout">${shown.map((verb) => html`<${Asking} key=${verb.name} big tone=${verb.tone ?? ""}
    title=${`${verb.name}: ${rollout.id}?`} yes=${verb.name} typed=${verb.typed && rollout.id}
    text=${html`<p>${verb.text}</p>`} request=${() => [`${path}/${verb.how}`, { method: "POST", match: etag }]} again=${again}
    after=${() => reload()}>${verb.name}</${Asking}>`)}</div>`;
}
