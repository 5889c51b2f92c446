// Small drawings: a curve by time, bars of parts. All of it is SVG or boxes, readable without colour.
import { html, useRef, useEffect, useState } from "./html.js";
import { clock, count, ratio } from "./format.js";

const PAD = { left: 46, right: 10, top: 10, bottom: 22 };

function useWidth() {
  const box = useRef();
  const [width, set] = useState(640);
  useEffect(() => {
    const seen = new ResizeObserver(([entry]) => set(Math.max(220, Math.round(entry.contentRect.width))));
    seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  return [box, width];
}

function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/**
 * Curves by time. lines: [{name, tone, points: [[ms, value], ...]}]; mark: a horizontal line {value, name}.
 */
export function Curve({ lines, height = 168, label, top, format = count, mark }) {
  const [box, width] = useWidth();
  const points = lines.flatMap((line) => line.points);
  if (!lines.some((line) => line.points.length > 1)) return html`<div ref=${box} class="curve muted">The curve begins with the next look.</div>`;
  const first = Math.min(...points.map((point) => point[0]));
  const last = Math.max(...points.map((point) => point[0]), first + 1);
  const most = top ?? ceiling(Math.max(...points.map((point) => point[1]), mark?.value ?? 0));
  const x = (ms) => PAD.left + ((ms - first) / (last - first)) * (width - PAD.left - PAD.right);
  const y = (value) => PAD.top + (1 - Math.min(value, most) / most) * (height - PAD.top - PAD.bottom);
  const path = (line) => line.points
    .map(([ms, value], at) => `${at ? "L" : "M"}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return html`<div ref=${box} class="curve"><svg width=${width} height=${height} role="img" aria-label=${label}>
    ${[0, most / 2, most].map((value) => html`<g><line class="hair" x1=${PAD.left} x2=${width - PAD.right} y1=${y(value)} y2=${y(value)} />
      <text class="tick" x=${PAD.left - 8} y=${y(value) + 4} text-anchor="end">${format(value)}</text></g>`)}
    <text class="tick" x=${PAD.left} y=${height - 4}>${clock(first)}</text>
    <text class="tick" x=${width - PAD.right} y=${height - 4} text-anchor="end">${clock(last)}</text>
    ${mark && html`<line class="mark" x1=${PAD.left} x2=${width - PAD.right} y1=${y(mark.value)} y2=${y(mark.value)} />
      <text class="tick" x=${PAD.left + 4} y=${y(mark.value) - 5}>${mark.name}</text>`}
    ${lines.map((line) => html`<path class=${`line ${line.tone}`} d=${path(line)} />
      ${line.points.length < 40 && line.points.map(([ms, value]) => html`<circle class=${`spot ${line.tone}`} cx=${x(ms)} cy=${y(value)} r="2.5" />`)}`)}
  </svg></div>`;
}

/** Parts of a whole, stacked. parts: [{name, tone, value}]. */
export function Parts({ parts, whole, label }) {
  const shown = parts.filter((part) => part.value > 0);
  const said = shown.map((part) => `${count(part.value)} ${part.name}`).join(", ") || "none yet";
  return html`<div class="parts" role="img" aria-label=${`${label}: ${said} of ${count(whole)}`}>
    ${shown.map((part) => html`<span class=${part.tone} title=${`${count(part.value)} ${part.name}`}
      style=${{ width: `${(100 * part.value) / Math.max(1, whole)}%` }}></span>`)}
  </div>`;
}

/** Names with counts as bars, the largest first; at most `most`, the others in one. */
export function Bars({ of, whole, most = 8, name = (key) => key, link }) {
  const sorted = Object.entries(of).sort((a, b) => b[1] - a[1]);
  const shown = sorted.slice(0, most);
  const others = sorted.slice(most).reduce((sum, [, value]) => sum + value, 0);
  if (others) shown.push([null, others]);
  return html`<ul class="bars">${shown.map(([key, value]) => html`<li>
    <span class="name">${key === null ? `${sorted.length - most} others` : link ? html`<a href=${link(key)}>${name(key)}</a>` : name(key)}</span>
    <span class="track"><span style=${{ width: `${(100 * value) / Math.max(1, whole)}%` }}></span></span>
    <span class="value">${count(value)} <i>${ratio(value, whole)}</i></span></li>`)}</ul>`;
}
