// A rollout by time: devices updated, failures and evidence against the gate's limits.
// Rules: what the gateway remembers of this run of its own, and before that the ends of waves, which are kept for good.
import { html } from "../html.js";
import { segment } from "../api.js";
import { count, evidence } from "../format.js";
import { Plot } from "../plot.js";
import { useNow, useResource } from "../use.js";
import { sum } from "./waves.js";

const OVER = ["completed", "halted", "aborted"];
const share = (part, whole) => (whole ? (100 * part) / whole : 0);
const badOf = (wave) => wave.failed + wave.rolled_back + wave.rejected;

/** Points at the beginnings and ends of waves that were before anybody remembered. */
function anchors(waves, before) {
  const found = [];
  const total = { offered: 0, exposed: 0, committed: 0, bad: 0 };
  for (const wave of waves) {
    if (wave.opened_ms && wave.opened_ms < before) found.push({ ...total, at_ms: wave.opened_ms, e_value: 1 });
    total.offered += wave.offered;
    total.exposed += wave.exposed;
    total.committed += wave.committed;
    total.bad += badOf(wave);
    if (wave.closed_ms && wave.closed_ms < before) found.push({ ...total, at_ms: wave.closed_ms, e_value: wave.e_value });
  }
  return found;
}

export function Progress({ rollout }) {
  const { data } = useResource(`/v1/rollouts/${segment(rollout.id)}/history`, ["rollouts"], 5000);
  const now = useNow(5000);
  if (!data || !rollout.waves.length) return null;
  const { waves, plan } = rollout;
  const before = anchors(waves, data.points[0]?.at_ms ?? Infinity);
  const remembered = [...before, ...data.points];
  const last = sum(waves);
  const ended = OVER.includes(rollout.state);
  const over = Math.max(...waves.map((wave) => wave.closed_ms || 0), remembered.at(-1)?.at_ms ?? 0);
  const end = ended ? over + Math.max(1000, 0.03 * (over - waves[0].opened_ms)) : now;  // a little more, so that the last step is seen
  const points = [...remembered, { at_ms: end, exposed: last.exposed, offered: last.offered, committed: last.committed, bad: waves.reduce((all, wave) => all + badOf(wave), 0), e_value: waves.at(-1).e_value }];
  const line = (name, tone, value, dashed) => ({ name, tone, dashed, points: points.map((one) => [one.at_ms, value(one)]) });
  const moments = waves.map((wave, at) => ({ ms: wave.opened_ms, name: `wave ${at}` }));
  const limit = plan?.evidence ?? 20;
  const failures = 100 * (plan?.failures ?? 0.02);
  const most = Math.max(...points.map((one) => share(one.bad, one.exposed)));
  return html`<section><h2>By time <small>${data.points.length ? "live" : "ends of waves; what is between them is remembered while this gateway runs"}</small></h2>
    <div class="trio"><div><h3>Devices</h3><${Plot} step whole lines=${[line("offered", "grey", (one) => one.offered, true), line("updated", "good", (one) => one.committed), line("failed", "bad", (one) => one.bad)]}
      moments=${moments} height=${300} top=${Math.max(1, last.size)} label="Devices by time" format=${(v) => count(Math.round(v))} /></div>
      <div><h3>Failures, % of those that ran it</h3><${Plot} step lines=${[line("failed", "bad", (one) => share(one.bad, one.exposed))]} moments=${moments.map((one) => ({ ...one, name: "" }))} height=${130}
        limits=${[{ value: failures, name: `tolerated ${failures.toFixed(failures < 10 ? 1 : 0)} %` }]} top=${Math.min(100, Math.max(1.6 * failures, 1.15 * most))} label="Failures" format=${(v) => v.toFixed(1)} /></div>
      <div><h3>Evidence against it</h3><${Plot} step log lines=${[line("evidence", "amber", (one) => Math.max(1, one.e_value))]} moments=${moments.map((one) => ({ ...one, name: "" }))} height=${130} bottom=${1}
        limits=${[{ value: limit, name: `the gate halts at ${evidence(limit)}` }]} top=${Math.max(2 * limit, ...points.map((one) => one.e_value))} label="Evidence" format=${(v) => evidence(v)} /></div></div></section>`;
}
