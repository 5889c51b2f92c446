// What happened to one device: connection and update by time, heat and charge, and its story out of three sources.
import { html, useState } from "../html.js";
import { segment } from "../api.js";
import { instant, lasting, stamp } from "../format.js";
import { Plot, Strip } from "../plot.js";
import { session } from "../session.js";
import { Loading, Pill, Problem } from "../ui.js";
import { useNow, useResource } from "../use.js";
import { When } from "../when.js";

const DOING = ["offered", "waiting", "downloading", "downloaded", "verified", "staged", "trial"];
const BAD = ["failed", "rolled_back", "rejected", "timed_out"];
const SHORTEST_MS = 60000;
const plain = (word) => word.replaceAll("_", " ");
const toneOf = (state) => (BAD.includes(state) ? "bad" : state === "trial" ? "amber" : DOING.includes(state) ? "blue" : "quiet");

export const useHistory = (id) => useResource(`/v1/devices/${segment(id)}/history`, ["fleet", "rollouts"], 5000);

/** Connection and update as strips. */
export function Lately({ history, device }) {
  const now = useNow(5000);
  const { data, problem } = history;
  if (!data) return problem ? html`<${Problem} problem=${problem} />` : html`<${Loading} of="what happened" />`;
  const from = Math.min(data.since_ms || now, now - SHORTEST_MS);
  const connection = data.events.filter((one) => ["connected", "disconnected"].includes(one.kind))
    .map((one) => ({ from: one.at_ms, tone: one.kind === "connected" ? "good" : "bad", name: one.kind === "connected" ? "online" : "offline" }));
  const updates = data.events.filter((one) => one.kind === "state").map((one) => ({ from: one.at_ms, tone: toneOf(one.about), name: plain(one.about) }));
  // What never changed since was so from the beginning.
  if (!connection.length) connection.push({ from, tone: device.online ? "good" : "bad", name: device.online ? "online" : "offline" });
  if (!updates.length && device.boot_id) updates.push({ from, tone: toneOf(device.state), name: plain(device.state) });
  return html`<section><h2>Lately <small>the last ${lasting(now - from)}, as long as this gateway runs</small></h2><${Problem} problem=${problem} />
    <div class="strips"><span>connection</span><${Strip} spans=${connection} from=${from} until=${now} label="Connection" />
      <span>update</span><${Strip} spans=${updates} from=${from} until=${now} label="Update" />
      <span class="ends"><span>${stamp(from, now - from)}</span><span>now</span></span></div>
    <p class="legend"><span><i class="good"></i>online</span><span><i class="bad"></i>offline or failed</span><span><i class="blue"></i>on its way</span><span><i class="amber"></i>on trial</span><span><i class="rest"></i>at rest</span></p></section>`;
}

/** What its telemetry says: heat, charge, frames. */
export function Vitals({ history }) {
  const windows = history.data?.windows ?? [];
  if (!history.data) return null;
  if (!windows.length) return html`<section><h2>Heat and charge</h2><p class="muted">It has sent no telemetry since this gateway started. A device tells window by window, usually every 15 minutes.</p></section>`;
  const line = (name, tone, value) => [{ name, tone, points: (windows.length > 1 ? windows : [{ ...windows[0], at_ms: windows[0].at_ms - 1000 }, windows[0]]).map((one) => [one.at_ms, value(one)]) }];
  const heat = windows.map((one) => one.chip_c);
  return html`<section><h2>Heat and charge <small>${windows.length === 1 ? "one window" : `${windows.length} windows`}, the newest <${When} ms=${windows.at(-1).at_ms} /></small></h2>
    <div class="duo"><div><h3>Chip, °C</h3><${Plot} lines=${line("°C", "amber", (one) => one.chip_c)} label="Temperature of the chip, °C" height=${130} bottom=${Math.min(0, ...heat)} top=${Math.max(90, ...heat)} format=${(v) => v.toFixed(0)} /></div>
      <div><h3>Battery, %</h3><${Plot} lines=${line("%", "good", (one) => one.battery_percent)} label="Charge, %" height=${130} top=${100} format=${(v) => v.toFixed(0)} /></div>
      <div><h3>Frames in a window</h3><${Plot} lines=${[...line("frames", "blue", (one) => one.frames), ...line("throttled", "bad", (one) => one.throttled)]} label="Frames" height=${130} whole /></div></div></section>`;
}

// -- its story -----------------------------------------------------------------------------------

const SIGNS = { connected: "good", disconnected: "open", booted: "blue", runs: "good", wanted: "blue", quarantined: "bad" };

function told(one, name) {
  const sentence = {
    connected: "came online", disconnected: "lost its connection", booted: html`started, boot ${one.about}`,
    runs: html`runs <b>${name(one.about)}</b>${one.why ? `, ${one.why}` : ""}`,
    wanted: html`is asked for <b>${name(one.about)}</b> by <a href=${`#/rollouts/${segment(one.why)}`}>${one.why}</a>`,
    quarantined: html`never runs <b>${name(one.about)}</b> again`,
    state: html`<b>${plain(one.about)}</b>${one.why ? `: ${one.why}` : ""}`,
    outcome: html`<a href=${`#/rollouts/${segment(one.why)}`}>${one.why}</a> ended for it: <${Pill} of=${one.about} />`,
  }[one.kind] ?? `${one.kind} ${one.about}`;
  const tone = SIGNS[one.kind] ?? (BAD.includes(one.about) ? "bad" : one.about === "committed" ? "good" : one.about === "trial" ? "amber" : DOING.includes(one.about) ? "blue" : "grey");
  return { at: one.at_ms, kind: "device", sign: tone, words: sentence };
}

const asked = (one, device) => ({
  at: one.at_ms, kind: "people", sign: one.outcome === "refused" ? "bad" : "grey",
  words: html`<b>${one.verb}</b> ${one.subject !== device.id && html`<code>${one.subject}</code>`} <span class="muted">by ${one.actor}</span>
    ${one.outcome !== "done" && html`<${Pill} of=${one.outcome} />`}${one.said.length > 0 && html`<br /><span class="muted">${one.said.join(" ")}</span>`}`,
});

function looked(one) {
  const begun = one.begun_ms && { at: one.begun_ms, kind: "people", sign: "amber", words: html`<b>debug mode began</b> <span class="muted">by ${one.by}</span><br /><span class="muted">${one.why}</span>` };
  const ended = one.ended_ms && { at: one.ended_ms, kind: "people", sign: "grey", words: html`<b>debug mode ended</b> <span class="muted">${one.revoked_by ? `by ${one.revoked_by}` : one.ended.replace(":", ": ")}</span>` };
  return [begun, ended].filter(Boolean);
}

const KINDS = [["all", "everything"], ["device", "what it did"], ["people", "what people did"]];

/** What it did and what was asked of it, the newest first. People's part is for those who may read the log. */
export function Story({ device, history, name, grants }) {
  const may = session.may("audit");
  const log = useResource(may ? "/v1/audit?order=newest&limit=500" : null, ["rollouts", "fleet"]);
  const [kind, show] = useState("all");
  const story = [
    ...(history.data?.events ?? []).map((one) => told(one, name)),
    ...(log.data?.entries ?? []).filter((one) => one.subject === device.id || (device.rollout && one.subject === device.rollout)).map((one) => asked(one, device)),
    ...grants.flatMap(looked),
  ].map((one, at) => ({ ...one, order: at })).sort((a, b) => b.at - a.at || b.order - a.order).filter((one) => kind === "all" || one.kind === kind);
  return html`<section><h2>Story <small>${may ? "what it did since this gateway started, and what was asked of it lately" : "what it did since this gateway started"}</small></h2><${Problem} problem=${log.problem} />
    ${may && html`<p class="chips" role="group" aria-label="Show">${KINDS.map(([id, words]) => html`<button class="quiet" aria-pressed=${kind === id ? "true" : "false"} onClick=${() => show(id)}>${words}</button>`)}</p>`}
    ${!story.length && html`<p class="muted">Nothing happened to it since this gateway started, and nothing was asked of it lately.</p>`}
    <ol class="story marked">${story.map((one) => html`<li><span class=${`sign ${one.sign}`}></span><span title=${instant(one.at)}><${When} ms=${one.at} /></span><span>${one.words}</span></li>`)}</ol></section>`;
}
