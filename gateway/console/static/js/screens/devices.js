// All devices: filters that the gateway applies, a search among ids, and a list that draws only what is seen.
// Rules: pages are asked for as the list is scrolled, or all of them while an id is searched; never more than
// DEVICES_MAX are kept.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { ask, query } from "../api.js";
import { useBundles } from "../bundles.js";
import { count } from "../format.js";
import { past } from "../history.js";
import { on } from "../live.js";
import { Empty, Labels, Pill, Problem } from "../ui.js";
import { session } from "../session.js";
import { go, useTitle } from "../use.js";
import { Enroll } from "./enroll.js";

const PAGE = 500;
const DEVICES_MAX = 50000;
const ROW = 36;
const SPARE_ROWS = 12;
const FRESH_MS = 10000;
const STATES = [
  "idle", "offered", "waiting", "downloading", "downloaded", "verified", "staged", "trial", "committed", "rolled_back", "failed",
  "rejected", "canceled", "timed_out", "superseded",
];

const QUIET = ["idle", "committed", "superseded", "canceled"];
const BAD = ["failed", "rolled_back", "rejected", "timed_out"];

function wordsOf(text) {
  const words = text.split(/\s+/).filter(Boolean);
  return { label: words.filter((word) => word.includes(":")), id: words.filter((word) => !word.includes(":")).join(" ").toLowerCase() };
}

/** Devices of a filter, page by page: {devices, next, busy, problem, more}. */
function useDevices(filter, everything) {
  const [state, set] = useState({ devices: [], next: "", busy: false, problem: null, filter });
  const here = useRef({ filter: null });
  const load = async (mine) => {
    if (mine.busy || mine.ended) return;
    mine.busy = true;
    try {
      const { data } = await ask(`/v1/devices${query({ ...JSON.parse(mine.filter), limit: PAGE, cursor: mine.next })}`, { signal: mine.abort.signal });
      mine.devices = [...mine.devices, ...data.devices];
      mine.next = data.next;
      mine.ended = !data.next || mine.devices.length >= DEVICES_MAX;
      mine.problem = null;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      mine.problem = problem;
      mine.ended = true;
    }
    mine.busy = false;
    if (here.current === mine) set({ ...mine });
  };
  useEffect(() => {
    const mine = { filter, devices: [], next: "", busy: false, ended: false, problem: null, abort: new AbortController() };
    here.current = mine;
    load(mine);
    return () => mine.abort.abort();
  }, [filter]);
  useEffect(() => {
    // A filtered page may be empty and still have a next one; a search looks at all.
    const mine = here.current;
    if (!mine.ended && !mine.busy && (everything || mine.devices.length < PAGE)) load(mine);
  });
  const fresh = async () => {
    const mine = here.current;
    if (mine.busy || mine.devices.length > PAGE || !mine.ended || mine.problem) return;
    const { data } = await ask(`/v1/devices${query({ ...JSON.parse(mine.filter), limit: PAGE })}`, { signal: mine.abort.signal }).catch(() => ({}));
    if (data && here.current === mine && !data.next) set({ ...Object.assign(mine, { devices: data.devices }) });
  };
  useEffect(() => {
    const timer = setInterval(fresh, FRESH_MS);
    const end = on("fleet", fresh);
    return () => { clearInterval(timer); end(); };
  }, []);
  const current = state.filter === filter ? state : { devices: [], next: "", busy: true, problem: null };
  return { ...current, more: () => load(here.current) };
}

export function Devices({ place }) {
  useTitle("Devices");
  const [text, setText] = useState(place.words.get("label") ?? "");
  const [online, setOnline] = useState("");
  const [state, setState] = useState("");
  const [version, setVersion] = useState(place.words.get("version") ?? "");
  const [settled, settle] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => settle(text), 200);
    return () => clearTimeout(timer);
  }, [text]);
  const { label, id } = wordsOf(settled);
  const filter = JSON.stringify({ label: label.filter((word) => !/:$|^:/.test(word)), online, state, version });
  const { devices, ended, busy, problem, more } = useDevices(filter, id !== "");
  const shown = useMemo(() => (id ? devices.filter((one) => one.id.toLowerCase().includes(id)) : devices), [devices, id]);
  const versions = Object.keys(past.fleet?.fleet?.versions ?? {}).filter(Boolean);
  const whole = past.fleet?.fleet?.devices;
  const plain = filter === JSON.stringify({ label: [], online: "", state: "", version: "" }) && !id;
  const open = (event) => {
    event.preventDefault();
    if (shown.length) go(`#/devices/${encodeURIComponent(shown[0].id)}`);
    else if (id) go(`#/devices/${encodeURIComponent(text.trim())}`);
  };
  return html`<div class="heading"><h1>Devices</h1><span class="muted" role="status">${plain && whole ? `${count(whole)} in all` : `${count(shown.length)}${ended ? "" : "+"} found`}</span>${session.may("enroll") && html`<${Enroll} />`}</div>
    <form class="filters" role="search" onSubmit=${open}>
      <input data-filter type="search" aria-label="Filter: a part of an id, or labels such as region:eu" placeholder="id, or label such as region:eu"
        value=${text} onInput=${(e) => setText(e.target.value)} autocomplete="off" spellcheck=${false} />
      <select aria-label="Connection" value=${online} onChange=${(e) => setOnline(e.target.value)}><option value="">online or not</option><option value="true">online</option><option value="false">offline</option></select>
      <select aria-label="What it does" value=${state} onChange=${(e) => setState(e.target.value)}><option value="">doing anything</option>${STATES.map((word) => html`<option value=${word}>${word.replaceAll("_", " ")}</option>`)}</select>
      <select aria-label="Version" value=${version} onChange=${(e) => setVersion(e.target.value)}><option value="">any version</option>
        ${[...new Set([...versions, version])].filter(Boolean).map((word) => html`<option value=${word}>${word}</option>`)}</select>
    </form>
    <${Problem} problem=${problem} />
    ${ended && !shown.length && !problem ? (plain ? html`<${Empty} title="No device yet"><p>Take one in, then start it:</p><pre>fleetdrill fleet enroll kiosk-1 --label region=eu</pre></${Empty}>`
      : html`<${Empty} title="No device is like that"><p>Take a filter away. Labels are written <code>name:value</code>, whole.</p></${Empty}>`)
    : html`<${Listing} key=${filter + id} devices=${shown} total=${plain && !ended ? Math.max(whole ?? 0, shown.length) : shown.length} more=${more} busy=${busy} ended=${ended} />`}`;
}

/** Rows that are seen, and room for the others. */
function Listing({ devices, total, more, busy, ended }) {
  const box = useRef();
  const { name } = useBundles();
  const [view, set] = useState({ first: 0, rows: 40 });
  const look = () => {
    const { scrollTop, clientHeight } = box.current;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - SPARE_ROWS);
    const rows = Math.ceil(clientHeight / ROW) + 2 * SPARE_ROWS;
    set((before) => (before.first === first && before.rows === rows ? before : { first, rows }));
  };
  useLayoutEffect(() => {
    look();
    addEventListener("resize", look);
    return () => removeEventListener("resize", look);
  }, []);
  useEffect(() => {
    if (!ended && !busy && view.first + view.rows > devices.length) more();
  }, [view, devices, ended, busy]);
  const shown = devices.slice(view.first, view.first + view.rows);
  const waiting = view.first + view.rows > devices.length && !ended;
  return html`<div class="listing" ref=${box} onScroll=${look} tabindex="0" role="region" aria-label="Devices">
    <table aria-rowcount=${total + 1}><thead><tr><th>Device</th><th>Connection</th><th>Runs</th><th>Wanted</th><th>Does</th><th class="roomy">Rollout</th><th class="roomy">Labels</th></tr></thead>
    <tbody>
      ${view.first > 0 && html`<tr class="room" aria-hidden="true"><td colspan="7" style=${{ height: `${view.first * ROW}px` }}></td></tr>`}
      ${shown.map((one, at) => html`<${Row} key=${one.id} device=${one} name=${name} at=${view.first + at + 2} />`)}
      <tr class="room" aria-hidden="true"><td colspan="7" style=${{ height: `${Math.max(0, total - view.first - shown.length) * ROW}px` }}></td></tr>
    </tbody></table>
    ${waiting && html`<p class="loading muted" role="status">Asking for devices …</p>`}
  </div>`;
}

function Row({ device, name, at }) {
  const wanted = device.wanted && device.wanted !== device.running ? name(device.wanted) : "";
  return html`<tr aria-rowindex=${at}><td><a data-row class="cut" title=${device.id} href=${`#/devices/${encodeURIComponent(device.id)}`}>${device.id}</a></td>
    <td><span class=${`dot ${device.online ? "good" : "open"}`}></span>${device.online ? "online" : "offline"}</td>
    <td class="mono">${device.running ? name(device.running) : html`<span class="muted">–</span>`}${device.trial && html` <${Pill} tone="blue">trial</${Pill}>`}</td>
    <td class="mono">${wanted || html`<span class="muted">${device.wanted ? "the same" : "–"}</span>`}</td>
    <td>${QUIET.includes(device.state) ? html`<span class="muted">${device.state}</span>` : html`<${Pill} of=${device.state} tone=${BAD.includes(device.state) ? "bad" : "blue"} />`}</td>
    <td class="roomy">${device.rollout && html`<a href=${`#/rollouts/${encodeURIComponent(device.rollout)}`}>${device.rollout}</a> <span class="muted">${device.outcome}</span>`}</td>
    <td class="roomy" title=${Object.entries(device.labels).map(([key, value]) => `${key} ${value}`).join(", ")}><${Labels} of=${device.labels} /></td></tr>`;
}
