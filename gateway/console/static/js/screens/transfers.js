// Chunks on their way to devices.
import { html, useEffect, useRef, useState } from "../html.js";
import { Curve } from "../charts.js";
import { extras } from "../extras.js";
import { bytes, count } from "../format.js";
import { Figure, Loading, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";

const POINTS_MAX = 600;
const LOOK_MS = 2000;

export function Transfers() {
  useTitle("Transfers");
  const { data, problem, reload } = useResource("/v1/transfers", ["fleet", "transfers"], 2000);
  const [points, set] = useState([]);
  const newest = useRef(null);
  newest.current = data;
  useEffect(() => {
    // What is as it was is not answered again, and is a point all the same.
    const look = () => newest.current && set((before) => [...before.slice(-POINTS_MAX), { at: extras.now(), bytes: newest.current.published_bytes }]);
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [data === null]);
  const rate = points.slice(1).map((one, at) => [one.at, Math.max(0, (1000 * (one.bytes - points[at].bytes)) / Math.max(1, one.at - points[at].at))]);
  if (!data) return html`<h1>Transfers</h1>${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : html`<${Loading} of="transfers" />`}`;
  return html`<h1>Transfers</h1><${Problem} problem=${problem} />
    <div class="figures">
      <${Figure} title="Devices" note="are being served now">${count(data.devices)}</${Figure}>
      <${Figure} title="Published" note="since the start">${bytes(data.published_bytes)}</${Figure}>
      <${Figure} title="Rounds" note=${`${count(data.rounds_waiting)} wait for room`}>${count(data.rounds)}</${Figure}>
      <${Figure} title="Dropped rounds" note="asked for again" tone=${data.rounds_dropped ? "amber" : ""}>${count(data.rounds_dropped)}</${Figure}>
      <${Figure} title="Asked again" note="requests that were served before">${count(data.repeated_requests)}</${Figure}>
      <${Figure} title="Offloaded frames" note=${`${count(data.offloads)} asks run now`}>${count(data.offload_frames)}</${Figure}>
    </div>
    <section><h2>Bytes each second <small>since this screen was opened</small></h2>
      <${Curve} lines=${[{ name: "bytes", tone: "blue", points: rate }]} label="Bytes published each second" format=${bytes} />
      ${data.devices === 0 && html`<p class="muted">Nobody fetches anything now. A <a href="#/rollouts">rollout</a> makes devices fetch.</p>`}</section>`;
}
