// One cell of the heat map: what the feature looks like now beside its baseline, and how it came to be so.
import { html, useEffect, useRef } from "../html.js";
import { query } from "../api.js";
import { count, instant } from "../format.js";
import { Bins, Plot } from "../plot.js";
import { Loading, Pill, Problem } from "../ui.js";
import { useResource } from "../use.js";
import { When } from "../when.js";

const STRONG = 0.25;
const SLIGHT = 0.1;

/** Names of bins: latency by its edges, confidence and entropy as parts of their range, features by number. */
function binNames({ feature, baseline, edges_ms: edges }) {
  const last = baseline.length - 1;
  if (edges.length) return baseline.map((_, at) => (at === 0 ? `below ${edges[0]} ms` : at === last ? `${Math.round(edges.at(-1))} ms and more` : `${edges[at - 1].toFixed(1)} to ${edges[at].toFixed(1)} ms`));
  if (feature === "confidence") return baseline.map((_, at) => `${(at / baseline.length).toFixed(2)} to ${((at + 1) / baseline.length).toFixed(2)}`);
  return baseline.map((_, at) => `bin ${at}`);
}

export function Drill({ cell, words, choose, features }) {
  const { cohort, feature, quantiles, sensors } = cell;
  const histogram = useResource(`/v1/drift/histogram${query({ cohort: cohort.name, feature })}`, ["fleet"], 30000);
  const series = useResource(`/v1/drift/series${query({ cohort: cohort.name, feature, limit: 1000 })}`, ["fleet"], 30000);
  const box = useRef();
  useEffect(() => box.current.scrollIntoView({ block: "nearest" }), [histogram.data !== null, series.data !== null]);
  const points = (series.data?.scores ?? []).map((one) => [one.closed_ms, Math.max(0, one.psi)]);
  const newest = series.data?.scores.at(-1);
  const at = features.indexOf(feature);
  const step = (by) => choose({ ...cell, feature: features[(at + by + features.length) % features.length] });
  return html`<section class="drill" ref=${box} aria-label=${`${feature} of ${cohort.hardware} ${cohort.region}`}>
    <div class="heading"><h2>${feature.replaceAll("_", " ")} <small>${cohort.hardware} ${cohort.region} <span class="mono">${cell.bundle}</span></small></h2><${Pill} of=${cohort.verdict} />
      <span class="line"><button class="quiet" aria-label="The feature before" onClick=${() => step(-1)}>←</button><button class="quiet" aria-label="The next feature" onClick=${() => step(1)}>→</button>
        <button class="quiet" onClick=${() => choose(null)}>Close</button></span></div>
    <p>${words}${newest && html` <span class="muted">Distance ${newest.psi.toFixed(3)}, p ${newest.p < 0.001 ? newest.p.toExponential(0) : newest.p.toFixed(3)}${newest.alarm ? ", in alarm" : ""}; ${count(cohort.devices)} devices, ${count(cohort.frames)} frames.</span>`}</p>
    <div class="duo"><div><h3>Now and baseline ${histogram.data && html`<small class="muted">window closed <${When} ms=${histogram.data.closed_ms} /></small>`}</h3>
        ${histogram.data ? (histogram.data.current.length ? html`<${Bins} current=${histogram.data.current} baseline=${histogram.data.baseline} names=${binNames(histogram.data)} label=${`${feature} now beside its baseline`} />`
          : html`<p class="muted">The newest window kept no counts.</p>`) : histogram.problem ? (histogram.problem.status === 404 ? html`<p class="muted">This bundle pins no baseline for it: distances are from the cohort's own first windows.</p>` : html`<${Problem} problem=${histogram.problem} />`)
          : html`<${Loading} of="the histogram" />`}</div>
      <div><h3>Distance by window</h3><${Problem} problem=${series.problem} />
        ${series.data && html`<${Plot} lines=${[{ name: "PSI", tone: "blue", points }]} label=${`Distance of ${feature} from its baseline`} height=${200} format=${(v) => v.toFixed(2)}
          limits=${[{ value: STRONG, name: "strong" }, { value: SLIGHT, name: "slight" }]} />`}</div></div>
    ${quantiles.length === 5 && html`<p class="muted">Readings, 5 to 95 %: ${quantiles.map((v) => v.toPrecision(3)).join(", ")}</p>`}
    ${feature in cohort.alarms && html`<p class="muted">In alarm since ${instant(cohort.alarms[feature])}.</p>`}
    ${sensors.length > 0 && html`<p>Shifted alone: ${sensors.map(([device, name]) => html`<a href=${`#/devices/${encodeURIComponent(device)}`}>${device}</a> <span class="muted">${name}</span> `)}</p>`}</section>`;
}
