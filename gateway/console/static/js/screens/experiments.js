// A candidate beside production: how both do, what the evidence says, and the verbs.
import { html } from "../html.js";
import { segment } from "../api.js";
import { count, evidence, ratio, several } from "../format.js";
import { session } from "../session.js";
import { Asking, Empty, Loading, Pill, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";

const VERBS = [
  { how: "promote", name: "Promote", tone: "good", text: "The candidate becomes production." },
  { how: "freeze", name: "Freeze", text: "Shares stand still; both go on." },
  { how: "thaw", name: "Thaw", text: "Shares follow the evidence again." },
  { how: "stop", name: "Stop", tone: "bad", typed: true, text: "The candidate is taken away everywhere; production goes on." },
];
const OVER = ["promoted", "stopped", "over", "failed", "ended"];

export function Experiments() {
  useTitle("Experiments");
  const { data, problem, reload } = useResource("/v1/experiments?limit=1000", ["experiments"], 5000);
  const found = data?.experiments ?? [];
  return html`<div class="heading"><h1>Experiments</h1>${session.may("roll-out") && html`<a class="button solid" data-new href="#/new-experiment">New experiment</a>`}</div><${Problem} problem=${problem} retry=${problem && reload} />
    ${!data && !problem && html`<${Loading} of="experiments" />`}
    ${data && !found.length && html`<${Empty} title="Nothing is being compared"><p>An experiment runs a candidate beside production, in its shadow or by turns, until the evidence says which is better.</p>
      <pre>fleetdrill experiment create night-reader --bundle gauge@1.2.0 --production gauge@1.1.0 --mode shadow</pre></${Empty}>`}
    <ul class="cards">${found.map((one) => html`<${Experiment} key=${one.id} one=${one} reload=${reload} />`)}</ul>`;
}

function Experiment({ one, reload }) {
  const rows = [["candidate", one.bundle, one.windows, one.bad], ["production", one.production, one.production_windows, one.production_bad]];
  const shown = VERBS.filter((verb) => (verb.how === "thaw") === (one.frozen && ["freeze", "thaw"].includes(verb.how)) && !OVER.includes(one.state));
  return html`<li class="card"><header><h2>${one.id}</h2><${Pill} of=${one.state} />${one.frozen && html`<${Pill} tone="amber">frozen</${Pill}>`}<span class="muted">${one.mode}, share ${ratio(one.share, 1)}</span></header>
    ${one.why && html`<p>${one.why}</p>`}
    <div class="scrolls" tabindex="0" role="region" aria-label=${`Both sides of ${one.id}`}><table><thead><tr><th><span class="unseen">Side</span></th><th>Bundle</th><th class="right">Windows</th><th class="right">Bad</th><th class="right">Share</th></tr></thead><tbody>${rows.map(([title, bundle, windows, bad]) => html`<tr><th scope="row">${title}</th>
      <td class="mono">${bundle}</td><td class="right">${count(windows)}</td><td class="right">${count(bad)}</td><td class="right">${ratio(bad, windows)}</td></tr>`)}</tbody></table></div>
    <div class="weigh"><${Weight} said="evidence for it" value=${one.evidence_for} limit=${one.promotes} tone="good" /><${Weight} said="evidence against it" value=${one.evidence_against} limit=${one.brake} tone="bad" /></div>
    <p class="muted small below">After ${several(one.looks, "look")}. ${one.tolerated > 0 && html`Bad is at most ${ratio(one.tolerated, 1)} of the candidate's windows; evidence`}${!one.tolerated && "Evidence"} is a likelihood factor: 1 says nothing.</p>
    ${session.may("steer") && shown.length > 0 && html`<div class="steering">${shown.map((verb) => html`<${Asking} key=${verb.how} big tone=${verb.tone ?? ""} title=${`${verb.name}: ${one.id}?`} yes=${verb.name}
      typed=${verb.typed && one.id} text=${html`<p>${verb.text}</p>`} request=${() => [`/v1/experiments/${segment(one.id)}/${verb.how}`, { method: "POST" }]} after=${() => reload()}>${verb.name}</${Asking}>`)}</div>`}</li>`;
}

/** Evidence on a scale of factors, up to where it decides. */
function Weight({ said, value, limit, tone }) {
  const most = limit || 20;
  const share = Math.min(1, Math.max(0, Math.log(Math.max(value, 1)) / Math.log(Math.max(most, 1.01))));
  const words = `${evidence(value)} of ${evidence(most)}`;
  return html`<span class="muted">${said}</span><span class="gauge" role="img" aria-label=${`${said}: ${words}`}><span class=${tone} style=${{ width: `${100 * share}%` }}></span></span><b>${words}</b>`;
}
