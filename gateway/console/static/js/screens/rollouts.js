// All rollouts, the newest first.
import { html, useEffect, useState } from "../html.js";
import { ask, query } from "../api.js";
import { session } from "../session.js";
import { Empty, Loading, More, Pill, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";
import { When } from "../when.js";
import { Waves } from "./waves.js";

const PAGE = 50;

export function Rollouts() {
  useTitle("Rollouts");
  const first = useResource(`/v1/rollouts?order=newest&limit=${PAGE}`, ["rollouts"]);
  const [older, setOlder] = useState({ rollouts: [], next: undefined });
  const [problem, setProblem] = useState(null);
  const newest = first.data?.rollouts ?? [];
  const shown = [...newest, ...older.rollouts.filter((one) => !newest.some((other) => other.id === one.id))];
  const next = older.next === undefined ? first.data?.next : older.next;
  const more = async () => {
    try {
      const { data } = await ask(`/v1/rollouts${query({ order: "newest", limit: PAGE, cursor: next })}`);
      setOlder({ rollouts: [...older.rollouts, ...data.rollouts], next: data.next });
    } catch (error) {
      setProblem(error);
    }
  };
  return html`<div class="heading"><h1>Rollouts</h1>${session.may("roll-out") && html`<a class="button solid" data-new href="#/new-rollout">New rollout</a>`}</div>
    <${Problem} problem=${first.problem ?? problem} retry=${first.problem && first.reload} />
    ${!first.data && !first.problem && html`<${Loading} of="rollouts" />`}
    ${first.data && !shown.length && html`<${Empty} title="Nothing was rolled out yet"><p>Publish a bundle, then roll it out in waves: each wave must
      hold before the next one begins.</p><pre>fleetdrill bundle publish FOLDER --key targets.key${"\n"}fleetdrill rollout create r1 --bundle NAME@VERSION</pre></${Empty}>`}
    ${shown.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Rollouts"><table><thead><tr><th>Rollout</th><th>Bundle</th><th>State</th><th class="wide">Devices</th><th>Waves</th><th>Begun</th><th>Why</th></tr></thead>
      <tbody>${shown.map((one) => html`<tr key=${one.id}><td class="name"><a data-row class="cut" title=${one.id} href=${`#/rollouts/${encodeURIComponent(one.id)}`}>${one.id}</a></td>
        <td class="mono">${one.bundle}</td><td><${Pill} of=${one.state} /></td><td class="wide"><${Waves} waves=${one.waves} small /></td>
        <td class="number">${one.waves.filter((wave) => wave.closed_ms || wave.verdict).length}/${one.waves.length}</td>
        <td class="nowrap muted">${one.waves.length ? html`<${When} ms=${one.waves[0].opened_ms} />` : "not yet"}</td>
        <td class="muted why">${one.why}</td></tr>`)}</tbody></table></div>`}
    <${More} next=${next} more=${more} />`;
}
