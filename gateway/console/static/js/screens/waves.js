// A rollout's waves as bars: what became of whom.
import { html } from "../html.js";
import { Parts } from "../charts.js";
import { count, evidence, ratio, several } from "../format.js";
import { Pill } from "../ui.js";
import { When } from "../when.js";

export function partsOf(wave) {
  const bad = wave.failed + wave.rolled_back + wave.rejected;
  const other = wave.superseded + wave.stopped + wave.reverted;
  const ended = wave.committed + bad + other;
  return [
    { name: "committed", tone: "good", value: wave.committed },
    { name: "failed, rolled back or refused", tone: "bad", value: bad },
    { name: "superseded, stopped or reverted", tone: "grey", value: other },
    { name: "on their way", tone: "blue", value: Math.max(0, wave.offered - ended) },
  ];
}

export function sum(waves) {
  const names = ["size", "offered", "exposed", "committed", "failed", "rolled_back", "rejected", "superseded", "stopped", "reverted", "staged"];
  return Object.fromEntries(names.map((name) => [name, waves.reduce((total, wave) => total + (wave[name] ?? 0), 0)]));
}

/** All waves as one bar. */
export function Waves({ waves, small }) {
  const total = sum(waves);
  return html`<div class=${small ? "waves small" : "waves"}><${Parts} parts=${partsOf(total)} whole=${total.size} label="Devices" />
    <span class="muted">${count(total.committed)} of ${count(total.size)}</span></div>`;
}

export const Legend = () => html`<p class="legend"><span><i class="good"></i>committed</span>
  <span><i class="blue"></i>on their way</span><span><i class="bad"></i>failed, rolled back, refused</span>
  <span><i class="grey"></i>superseded, stopped, reverted</span><span><i class="none"></i>not offered</span></p>`;

const DETAILS = ["offered", "staged", "exposed", "committed", "failed", "rolled_back", "rejected", "superseded", "stopped", "reverted", "unreached"];

/** Other verdicts are sentences: why the wave was closed before it passed. */
const SHORT = ["", "passed", "closed"];

/** One wave with its numbers and its gate. */
export function Wave({ wave, number, limit }) {
  const open = wave.opened_ms;
  const closed = wave.closed_ms;
  return html`<li class="wave"><header><h3>Wave ${number}</h3><span class="muted">up to ${ratio(wave.share, 1)} of the fleet, ${several(wave.size, "device")}</span>
      <${Pill} of=${SHORT.includes(wave.verdict) ? wave.verdict || (open && "open") : "halted"} /></header>
    ${!SHORT.includes(wave.verdict) && html`<p class="said">${wave.verdict}</p>`}
    <${Parts} parts=${partsOf(wave)} whole=${wave.size} label=${`Wave ${number}`} />
    <div class="about"><dl class="counters">${DETAILS.filter((name) => wave[name]).map((name) => html`<div><dt>${name.replaceAll("_", " ")}</dt>
      <dd class=${["failed", "rolled_back", "rejected"].includes(name) ? "bad" : ""}>${count(wave[name])}</dd></div>`)}</dl>
      <p class="muted small">${open ? html`opened <${When} ms=${open} />` : ""}${closed ? html`, closed <${When} ms=${closed} />` : ""}</p>
      <${Evidence} value=${wave.e_value} limit=${limit} /></div></li>`;
}

/** Evidence against the release, on a scale of factors: 1 says nothing, the gate's limit halts. */
export function Evidence({ value, limit }) {
  const most = limit ?? 100;
  const share = Math.min(1, Math.max(0, Math.log(Math.max(value, 1)) / Math.log(Math.max(most, 1.01))));
  const tone = limit && value >= limit ? "bad" : share > 0.5 ? "amber" : "good";
  const said = limit ? `${evidence(value)} of ${evidence(limit)}` : evidence(value);
  return html`<div class="evidence"><span class="muted">evidence against it</span>
    <span class="gauge" role="img" aria-label=${`Evidence against the release: ${said}`}><span class=${tone} style=${{ width: `${100 * share}%` }}></span></span>
    <b>${said}</b></div>`;
}
