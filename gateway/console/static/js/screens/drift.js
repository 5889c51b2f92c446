// Drift: cohorts by features, how far each is from its baseline, and what the gateway makes of it.
import { html, useState } from "../html.js";
import { ask, query } from "../api.js";
import { useBundles } from "../bundles.js";
import { count } from "../format.js";
import { Empty, Figure, Loading, More, Pill, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";
import { When } from "../when.js";
import { Drill } from "./drill.js";

const PAGE = 200;
const WORDS = {
  none: "No drift.", data: "What is read has changed: the world, or the population.",
  hardware: "The machine reads differently: known images are not answered as they were.", both: "The machine and what is read have changed.",
  sensor: "Single devices are shifted: look at their sensors.",
};

/** 0 .. 4: population stability index, by the usual marks 0.1 (slight) and 0.25 (strong). */
const step = (psi) => [0.05, 0.1, 0.25, 0.5].filter((mark) => psi >= mark).length;

export function Drift() {
  useTitle("Drift");
  const first = useResource(`/v1/drift?limit=${PAGE}`, ["drift", "fleet"], 10000);
  const [later, setLater] = useState({ cohorts: [], next: undefined });
  const [problem, setProblem] = useState(null);
  const [chosen, choose] = useState(null);
  const cohorts = [...(first.data?.cohorts ?? []), ...later.cohorts];
  const next = later.next === undefined ? first.data?.next : later.next;
  const more = async () => {
    try {
      const { data } = await ask(`/v1/drift${query({ limit: PAGE, cursor: next })}`);
      setLater({ cohorts: [...later.cohorts, ...data.cohorts], next: data.next });
    } catch (error) {
      setProblem(error);
    }
  };
  const { list } = useBundles();
  const bundle = (start) => list.find((one) => one.digest.startsWith(start))?.name ?? start.slice(0, 8);
  cohorts.sort((a, b) => (a.verdict === "none") - (b.verdict === "none"));  // sort is stable: names stay in order
  const features = [...new Set(cohorts.flatMap((one) => one.scores.map((score) => score.feature)))].sort();
  return html`<h1>Drift</h1><${Problem} problem=${first.problem ?? problem} retry=${first.problem && first.reload} />
    ${!first.data && !first.problem && html`<${Loading} of="drift" />`}
    ${first.data && html`<${Figures} data=${first.data} cohorts=${cohorts} />`}
    ${first.data && !cohorts.length && html`<${Empty} title="No device has told of itself yet"><p>Devices send sketches of what they read and how sure they are, window by
      window. The first closed window becomes the baseline; from the next one on a cohort has a verdict.</p></${Empty}>`}
    ${cohorts.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Cohorts by features"><table class="heat"><thead><tr><th>Cohort</th><th>Verdict</th><th>Probe</th><th class="right">Devices</th><th class="right">Frames</th>
      ${features.map((name) => html`<th class="turned"><span>${name.replaceAll("_", " ")}</span></th>`)}</tr></thead>
      <tbody>${cohorts.map((one) => html`<${Cohort} key=${one.name} ...${{ cohort: one, features, chosen, choose, bundle: bundle(one.bundle) }} />`)}</tbody></table></div>
      <p class="legend heatkey"><span>distance from the baseline (PSI)</span>${["below 0.05", "0.05", "0.1", "0.25", "0.5"].map((name, at) => html`<span><i class=${`heat${at}`}></i>${name}</span>`)}<span><i class="alarmed"></i>alarm</span></p>`}
    <${More} next=${next} more=${more} />
`;
}

function Figures({ data, cohorts }) {
  const bad = cohorts.filter((one) => one.verdict !== "none").length;
  return html`<div class="figures">
    <${Figure} title="Cohorts" note="bundle, hardware and region in common">${count(cohorts.length)}</${Figure}>
    <${Figure} title="Drifting" note="with a verdict" tone=${bad ? "bad" : ""}>${count(bad)}</${Figure}>
    <${Figure} title="Windows heard" note=${`${count(data.counters.duplicates)} were heard before`}>${count(data.counters.accepted)}</${Figure}>
    <${Figure} title="Frames" note="behind these numbers">${count(data.counters.frames_accepted)}</${Figure}>
    <${Figure} title="Newest window" note="closed"><span class="said"><${When} ms=${data.closed_ms} /></span></${Figure}></div>`;
}

function Cohort({ cohort, features, chosen, choose, bundle }) {
  const here = chosen?.cohort.name === cohort.name;
  const scores = new Map(cohort.scores.map((score) => [score.feature, score]));
  return html`<tr><th scope="row"><b>${cohort.hardware}</b> ${cohort.region} <span class="muted mono">${bundle}</span></th>
    <td>${cohort.verdict === "none" ? html`<span class="muted">none</span>` : html`<span title=${WORDS[cohort.verdict]}><${Pill} of=${cohort.verdict} /></span>`}</td><td class="muted">${cohort.probe}</td>
    <td class="right">${count(cohort.devices)}</td><td class="right">${count(cohort.frames)}</td>
    ${features.map((feature) => {
      const score = scores.get(feature);
      if (!score) return html`<td class="cell none"><span class="muted">–</span></td>`;
      const mine = here && chosen.feature === feature;
      const raised = score.alarm || feature in cohort.alarms;
      return html`<td class="cell"><button class=${`heat${step(score.psi)} ${raised ? "alarmed" : ""}`}
        aria-label=${`${cohort.hardware} ${cohort.region}, ${feature}: ${score.psi.toFixed(3)}${raised ? ", alarm" : ""}`}
        aria-expanded=${mine ? "true" : "false"} onClick=${() => choose(mine ? null : { cohort, feature, bundle, quantiles: cohort.quantiles, sensors: cohort.sensors })}>${score.psi.toFixed(2)}</button></td>`;
    })}</tr>
    ${here && html`<tr class="drillrow"><td colspan=${features.length + 5}><${Drill} key=${`${cohort.name} ${chosen.feature}`} cell=${chosen} words=${WORDS[cohort.verdict]} ...${{ choose, features }} /></td></tr>`}`;
}
