// A rehearsal in the console: whose run it is, which instant of it, and the player. Loaded by rehearsals alone, before main.js.
// Rules: the page's time is the run's; what is shown is always the state between two of its events, also while it is simulated.
import { html, useEffect, useRef, useState } from "../console/js/html.js";
import { ask } from "../console/js/api.js";
import { extras } from "../console/js/extras.js";
import { count, instant, lasting } from "../console/js/format.js";
import { seed } from "../console/js/history.js";
import { Pill, Problem } from "../console/js/ui.js";
import { useResource } from "../console/js/use.js";

const POLL_MS = 400;
const POLL_PAUSED_MS = 2000;
const SPEEDS = [1, 10, 60, 300, 1800, 7200];
const STEPS = 288;  // of a day: five minutes
const STRIDE = 12;

const listeners = new Set();
const state = { told: null, problem: null, at: performance.now() };
let timer = null;

/** UTC in the run, ms: between two looks it goes on as the player does. */
function now() {
  const player = state.told?.player;
  if (!player) return Date.now();
  const passed = player.state === "playing" ? (performance.now() - state.at) * player.speed : 0;
  return Math.round(Math.min(player.now_ms + passed, player.reach_ms));
}

async function again() {
  try {
    const { data } = await ask("/v1/run/past");
    seed(data.points.filter((point) => point.at_ms <= now())
      .map((point) => ({ at: point.at_ms, online: point.online, updating: point.updating, inSync: point.in_sync })));
  } catch { /* told by the next look */ }
}

function keep(told) {
  const before = state.told?.player;
  Object.assign(state, { told, problem: null, at: performance.now() });
  const { player } = told;
  const turned = before && (player.takes !== before.takes || player.now_ms < before.now_ms);
  const arrived = before?.state === "seeking" && player.state !== "seeking";
  if (!before || turned || arrived) again();
  for (const listener of listeners) listener();
}

async function look() {
  clearTimeout(timer);
  try {
    keep((await ask("/v1/run")).data);
  } catch (problem) {
    state.problem = problem;
    for (const listener of listeners) listener();
  }
  clearTimeout(timer);
  const still = state.told?.player.state === "paused" && state.told.player.finished;
  timer = setTimeout(look, still ? POLL_PAUSED_MS : POLL_MS);
}

async function tell(how, body = {}) {
  try {
    keep((await ask(`/v1/run/${how}`, { method: "POST", body })).data);
  } catch (problem) {
    state.problem = problem;
    for (const listener of listeners) listener();
  }
  clearTimeout(timer);
  timer = setTimeout(look, POLL_MS);
}

function useTold() {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((n) => n + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return state;
}

// -- what can be done --------------------------------------------------------------------------------

let speed = 60;
const toggle = () => (state.told?.player.state === "playing" ? tell("pause") : tell("play", { speed }));
const go = (ms) => tell("go", { at_s: Math.max(0, (ms - state.told.player.start_ms) / 1000) });

function step(direction, strides) {
  const { player } = state.told;
  const by = (direction * strides * (player.end_ms - player.start_ms)) / STEPS;
  const from = player.state === "seeking" ? player.goal_ms : player.now_ms;
  go(Math.min(player.reach_ms, Math.max(player.start_ms, from + by)));
}

const OTHERS = "input, textarea, select, button, a, summary, [contenteditable], [tabindex='0'], dialog";
addEventListener("keydown", (event) => {
  if (!state.told || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest(OTHERS) || document.querySelector("dialog[open]")) return;
  if (event.key === " ") toggle();
  else if (event.key === "ArrowLeft") step(-1, event.shiftKey ? STRIDE : 1);
  else if (event.key === "ArrowRight") step(1, event.shiftKey ? STRIDE : 1);
  else return;
  event.preventDefault();
});

// -- what is seen ------------------------------------------------------------------------------------

const place = (ms, { start_ms: start, end_ms: end }) => `${Math.min(100, Math.max(0, (100 * (ms - start)) / Math.max(1, end - start)))}%`;

function Marks({ told }) {
  const { player, bands, failed } = told;
  return html`<div class="marks" aria-hidden="true">
    ${bands.map((band) => html`<span class="band" title=${band.label} style=${{ left: place(band.from_ms, player),
      width: `calc(${place(player.start_ms + band.to_ms - band.from_ms, player)} + 2px)` }}></span>`)}
    ${failed.map((check) => html`<span class="failed" title=${`${check.name}: ${check.story}`} style=${{ left: place(check.at_ms, player) }}></span>`)}</div>`;
}

function Track({ told }) {
  const { player } = told;
  const [drag, set] = useState(null);
  const whole = Math.round((player.end_ms - player.start_ms) / 1000);
  const here = player.state === "seeking" ? player.goal_ms : now();
  const value = drag ?? Math.round((here - player.start_ms) / 1000);
  const words = `${instant(player.start_ms + 1000 * value)}, ${lasting(1000 * value)} of ${lasting(1000 * whole)}`;
  const leave = (event) => {
    go(player.start_ms + 1000 * Number(event.target.value)).then(() => set(null));
  };
  return html`<div class="track">
    <${Marks} told=${told} />
    <div class="rail" aria-hidden="true"><span class="reach" style=${{ width: place(player.reach_ms, player) }}></span>
      <span class="done" style=${{ width: place(player.now_ms, player) }}></span></div>
    <input type="range" min="0" max=${whole} step=${Math.max(1, Math.round(whole / (STEPS * 5)))} value=${value} aria-label="Instant of the run"
      aria-valuetext=${words} onInput=${(event) => set(Number(event.target.value))} onChange=${leave} /></div>`;
}

const DOING = {
  preparing: "The fleet is put together …", seeking: "Simulating", playing: "", paused: "", broken: "",
};

function Doing({ player }) {
  if (player.why) return html`<span class="problem small">${player.why}</span>`;
  const words = DOING[player.state];
  if (!words) return null;
  const done = (player.now_ms - player.start_ms) / Math.max(1, player.goal_ms - player.start_ms);
  return html`<span class="doing"><span>${words}${player.state === "seeking" && html` up to ${instant(player.goal_ms).slice(11)}`}</span>
    ${player.state === "seeking" && html`<progress max="1" value=${done} aria-label="Simulated"></progress><span class="share">${Math.floor(100 * done)} %</span>`}</span>`;
}

function Verdict({ told }) {
  const { player, changed, failed } = told;
  if (!player.finished) return html`<${Pill} tone="blue">${player.alive ? "goes on" : "broken off"}</${Pill}>`;
  const other = player.same === false;
  return html`<${Pill} of=${player.verdict}>${player.verdict}</${Pill}>
    ${failed.length > 0 && html`<span class="small" title=${failed.map((check) => `${check.name}: ${check.story}`).join("\n")}>${failed.length === 1
      ? failed[0].name.replaceAll("_", " ") : `${failed.length} checks`}</span>`}
    ${player.same && html`<span class="small" title=${`trace ${player.digest}`}>repeated bit for bit</span>`}
    ${other && html`<${Pill} tone="bad">not the same run</${Pill}>`}
    ${(other || (changed && player.same === null)) && html`<span class="small">${changed || "determinism is broken: please report it"}</span>`}`;
}

function Player() {
  const { told, problem } = useTold();
  const box = useRef();
  const [, set] = useState(speed);
  useEffect(() => {
    const beat = setInterval(() => {
      if (state.told?.player.state === "playing") for (const listener of listeners) listener();
    }, 250);
    return () => clearInterval(beat);
  }, []);
  if (!told) return problem ? html`<div class="run-player"><${Problem} problem=${problem} /></div>` : null;
  const { player } = told;
  const playing = player.state === "playing";
  const atEnd = player.finished && player.now_ms === player.end_ms;
  const passed = now() - player.start_ms;
  return html`<section class="run-player" aria-label="Rehearsal" ref=${box}>
    <p class="about"><b class="word">Rehearsal</b><span class="name">${told.title || told.scenario}</span>
      <span class="small">${told.scenario}, seed ${told.seed}${told.devices ? `, ${count(told.devices)} devices` : ""}</span>
      ${told.overrides.length > 0 && html`<code class="small">${told.overrides.join(" ")}</code>`}<${Verdict} told=${told} />
      <span class="state" role="status"><${Doing} player=${player} />${problem && html`<span class="small">${problem.detail}</span>`}</span></p>
    <div class="player">
      <button class="quiet turn" aria-label=${playing ? "Pause" : "Play"} title="space" disabled=${!playing && atEnd} onClick=${toggle}>${playing
        ? html`<svg viewBox="0 0 10 10" aria-hidden="true"><path d="M1.5 1h2.4v8H1.5zM6.1 1h2.4v8H6.1z" /></svg>`
        : html`<svg viewBox="0 0 10 10" aria-hidden="true"><path d="M2 .8 9 5 2 9.2z" /></svg>`}</button>
      <select aria-label="Speed" value=${speed} onChange=${(event) => { speed = Number(event.target.value); set(speed); if (playing) tell("play", { speed }); }}>
        ${SPEEDS.map((one) => html`<option value=${one}>×${count(one)}</option>`)}</select>
      <${Track} told=${told} />
      <span class="instant"><b>${instant(player.start_ms + passed)}</b><span class="small">${lasting(passed)} of ${lasting(player.end_ms - player.start_ms)}</span></span>
      ${player.finished ? html`<button class="quiet" disabled=${atEnd} onClick=${() => tell("follow")}>To the end</button>`
        : html`<button class="quiet" aria-pressed=${player.following ? "true" : "false"} onClick=${() => tell("follow")}>Follow</button>`}
    </div>
  </section>`;
}

function Story({ device }) {
  const { told } = useTold();
  const { data, problem, reload } = useResource(`/v1/run/devices/${encodeURIComponent(device)}/story`, [], 4000);
  const player = told?.player;
  const still = player && player.state === "paused" ? player.now_ms : 0;
  useEffect(() => { if (still) reload(); }, [still]);
  const lines = data?.lines ?? [];
  return html`<section><h2>Its trace <small>every row of the run up to now, the newest first</small></h2><${Problem} problem=${problem} />
    ${data && !lines.length && html`<p class="muted">Nothing yet.</p>`}
    <ol class="story happened">${lines.map((line) => html`<li key=${`${line.at_ms} ${line.what}`}><time>${instant(line.at_ms)}</time><span><b>${line.what}</b> ${line.said}
      ${line.count > 1 && html`<span class="muted"> ${count(line.count)} times until ${instant(line.until_ms).slice(11)}</span>`}</span></li>`)}</ol></section>`;
}

Object.assign(extras, {
  now, top: Player, device: Story, since: "in the run, up to now",
  keys: [["Space", "play, pause"], ["←  →", "step through the run; with Shift an hour of a day"]],
});
look();
