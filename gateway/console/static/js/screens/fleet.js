// The fleet at a glance.
import { html, useEffect, useState } from "../html.js";
import { Bars, Curve } from "../charts.js";
import { bytes, count, ratio } from "../format.js";
import { extras } from "../extras.js";
import { onPast, past } from "../history.js";
import { Empty, Figure, Loading, Pill, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";
import { Waves } from "./waves.js";

const GOING = ["running", "waiting", "paused", "halted"];

export function Fleet() {
  useTitle("Fleet");
  const [, again] = useState(0);
  useEffect(() => onPast(() => again((n) => n + 1)), []);
  const rollouts = useResource("/v1/rollouts?order=newest&limit=20", ["rollouts"]);
  const kills = useResource("/v1/kills", ["kills"]);
  const fleet = past.fleet?.fleet;
  if (!fleet) return html`<h1>Fleet</h1>${past.problem ? html`<${Problem} problem=${past.problem} />` : html`<${Loading} of="the fleet" />`}`;
  return html`<h1>Fleet</h1>
    <${Problem} problem=${past.problem} />
    ${!past.fleet.connected && html`<div class="problem" role="alert"><b>No broker</b><p>The gateway is not connected to its broker: devices
      keep what they run, and nothing new reaches them. It tries again by itself.</p></div>`}
    <${Figures} fleet=${fleet} />
    ${fleet.devices === 0 ? html`<${Empty} title="No device yet">
      <p>Take one in and start it:</p><pre>fleetdrill fleet enroll kiosk-1 --label region=eu${"\n"}fleetdrill device run --id kiosk-1 --broker mqtt://HOST:PORT --state FOLDER --trust trust.json</pre></${Empty}>`
    : html`<div class="columns">
      <section><h2>Online <small>${extras.since}</small></h2>
        <${Curve} top=${fleet.devices} label=${`${count(fleet.online)} of ${count(fleet.devices)} devices are online now`}
          lines=${[{ name: "online", tone: "good", points: past.points.map((p) => [p.at, p.online]) },
            { name: "on their way", tone: "blue", points: past.points.map((p) => [p.at, p.updating]) }]} />
        <p class="legend"><span><i class="good"></i>online</span><span><i class="blue"></i>on their way</span></p></section>
      <section><h2>Versions</h2><${Bars} of=${fleet.versions} whole=${fleet.devices}
        name=${(key) => key || html`<i class="muted">says nothing yet</i>`}
        link=${(key) => (key ? `#/devices?version=${encodeURIComponent(key)}` : "#/devices")} /></section>
      <${Going} rollouts=${rollouts} />
      <${Killed} kills=${kills} />
    </div>`}
    <${Inside} overview=${past.fleet} />`;
}

function Figures({ fleet }) {
  const killed = fleet.kill_version;
  return html`<div class="figures">
    <${Figure} title="Devices" note=${`${count(fleet.enrolled)} enrolled`}>${count(fleet.devices)}</${Figure}>
    <${Figure} title="Online" note=${fleet.devices ? `${ratio(fleet.online, fleet.devices)} of the fleet` : "connected now"}>${count(fleet.online)}</${Figure}>
    <${Figure} title="In step" note=${fleet.devices ? `${ratio(fleet.in_sync, fleet.devices)} run what is wanted` : "run what is wanted"}>${count(fleet.in_sync)}</${Figure}>
    <${Figure} title="On their way" note="want that has not ended">${count(fleet.updating)}</${Figure}>
    <${Figure} title="Kill list" note=${killed ? "version" : "nothing was ever killed"}>${killed || "–"}</${Figure}>
    <${Figure} title="Bad messages" note="refused since the start" tone=${fleet.bad_messages ? "amber" : ""}>${count(fleet.bad_messages)}</${Figure}>
  </div>`;
}

function Going({ rollouts }) {
  const found = (rollouts.data?.rollouts ?? []).filter((one) => GOING.includes(one.state));
  return html`<section><h2>Rollouts on their way</h2><${Problem} problem=${rollouts.problem} />
    ${rollouts.data && !found.length && html`<p class="muted">None. <a href="#/rollouts">All rollouts</a></p>`}
    <ul class="going">${found.slice(0, 6).map((one) => html`<li key=${one.id}>
      <p class="line"><a href=${`#/rollouts/${encodeURIComponent(one.id)}`}>${one.id}</a> <span class="muted">${one.bundle}</span> <${Pill} of=${one.state} /></p>
      <${Waves} waves=${one.waves} small /><p class="muted small">${one.why}</p></li>`)}</ul>
    ${found.length > 6 && html`<p><a href="#/rollouts">${found.length - 6} more</a></p>`}</section>`;
}

function Killed({ kills }) {
  const found = kills.data?.features ?? [];
  return html`<section><h2>Killed features</h2><${Problem} problem=${kills.problem} />
    ${kills.data && !found.length && html`<p class="muted">None: everything may run.</p>`}
    <p class="killed">${found.map((name) => html`<${Pill} tone="bad">${name}</${Pill}> `)}</p>
    <p><a href="#/flags">Flags and kill</a></p></section>`;
}

const BYTES = /bytes/;

function Inside({ overview }) {
  const { fleet, counters } = overview;
  const words = { outbox_rows: fleet.outbox_rows, outbox_in_flight: fleet.outbox_in_flight, queries_waiting: fleet.queries_waiting, ...counters };
  return html`<details class="inside"><summary>The gateway's own counters</summary><dl class="counters">
    ${Object.entries(words).filter(([, value]) => typeof value === "number").map(([name, value]) => html`<div>
      <dt>${name.replaceAll("_", " ")}</dt><dd>${BYTES.test(name) ? bytes(value) : count(value)}</dd></div>`)}</dl></details>`;
}
