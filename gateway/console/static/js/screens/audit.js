// The audit log, the newest first, and its signed head.
import { html, useState } from "../html.js";
import { ask, query } from "../api.js";
import { ago, count, instant } from "../format.js";
import { Empty, Loading, More, Pill, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";

const PAGE = 100;

export function Audit() {
  useTitle("Audit");
  const first = useResource(`/v1/audit?order=newest&limit=${PAGE}`, ["rollouts", "flags", "kills", "experiments"], 5000);
  const newest = first.data?.entries ?? [];
  const head = useResource(newest.length ? "/v1/audit/head" : null, ["rollouts", "flags", "kills"]);
  const [older, setOlder] = useState({ entries: [], next: undefined });
  const [problem, setProblem] = useState(null);
  const [text, set] = useState("");
  const lowest = older.entries[0]?.number ?? 0;
  const shown = [...newest.filter((one) => one.number > lowest), ...older.entries]
    .filter((one) => !text || [one.actor, one.verb, one.subject, one.outcome, ...one.said].join(" ").toLowerCase().includes(text.toLowerCase()));
  const next = older.next === undefined ? first.data?.next : older.next;
  const more = async () => {
    try {
      const { data } = await ask(`/v1/audit${query({ order: "newest", limit: PAGE, cursor: next })}`);
      const before = older.next === undefined ? newest : older.entries;
      setOlder({ entries: [...before, ...data.entries], next: data.next });
    } catch (error) {
      setProblem(error);
    }
  };
  return html`<div class="heading"><h1>Audit</h1>${head.data && html`<span class="muted">${count(head.data.number)} ${head.data.number === 1 ? "entry" : "entries"}, head <code title=${head.data.digest}>${head.data.digest.slice(0, 16)}</code></span>`}</div>
    <div class="filters"><input data-filter type="search" aria-label="Filter entries that are here" placeholder="who, what, whom" value=${text} onInput=${(e) => set(e.target.value)} /></div>
    <${Problem} problem=${first.problem ?? problem} retry=${first.problem && first.reload} />
    ${!first.data && !first.problem && html`<${Loading} of="the log" />`}
    ${first.data && !shown.length && html`<${Empty} title=${text ? "No entry here is like that" : "Nothing was done yet"}><p>${text ? "Take the filter away, or show more." : "Whatever somebody changes is written down here, with their name, in one commit with the change."}</p></${Empty}>`}
    ${shown.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Entries"><table class="log"><thead><tr><th class="right">Nr.</th><th>When</th><th>Who</th><th>What</th><th>Whom</th><th>Outcome</th><th class="wide">Said</th></tr></thead>
      <tbody>${shown.map((one) => html`<${Line} key=${one.number} entry=${one} />`)}</tbody></table></div>`}
    <${More} next=${next} more=${more} />`;
}

function Line({ entry }) {
  return html`<tr><td class="right muted">${entry.number}</td><td class="nowrap" title=${ago(entry.at_ms)}>${instant(entry.at_ms)}</td><td class="nowrap">${entry.actor} <span class="muted">${entry.role}</span></td>
    <td class="mono nowrap">${entry.verb}</td><td class="subject"><span class="cut" title=${entry.subject}>${entry.subject}</span></td><td><${Pill} of=${entry.outcome} /></td>
    <td class="wide"><details><summary>${entry.said.join(" ") || html`<span class="muted">what was asked</span>`}</summary><pre>${JSON.stringify(entry.arguments, null, 2)}</pre></details></td></tr>`;
}
