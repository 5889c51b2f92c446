// Plots with marks: several curves by time with limits, spans of a state, bins beside a baseline.
// Rules: what a colour says a word says too; a plot has a name for those who cannot see it.
import { html, useEffect, useRef, useState } from "./html.js";
import { count, instant, stamp } from "./format.js";

const PAD = { left: 46, right: 12, top: 12, bottom: 22 };

function useWidth() {
  const box = useRef();
  const [width, set] = useState(0);
  useEffect(() => {
    const seen = new ResizeObserver(([entry]) => set(Math.max(160, Math.floor(entry.contentRect.width))));
    seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  return [box, width];
}

function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

/** The value of a line at an instant: that of its last point before. */
const at = (line, ms) => line.points.findLast((point) => point[0] <= ms)?.[1];

/**
 * Curves by time. lines: [{name, tone, points: [[ms, value], ...]}]; limits: horizontal [{value, name}]; moments:
 * vertical [{ms, name}]; bottom, top: of the scale; log: the scale's steps are factors; whole: values are counts; step: a
 * value holds until the next one.
 */
export function Plot({ lines, limits = [], moments = [], height = 190, label, bottom = 0, top, log = false, format = count, whole = false, step = false }) {
  const [box, width] = useWidth();
  const [hover, point] = useState(null);
  const head = PAD.top + (moments.some((one) => one.name) ? 10 : 0);  // names of moments stand above what is drawn
  const points = lines.flatMap((line) => line.points);
  if (points.length < 2) return html`<div ref=${box} class="plot empty-plot muted small">${label}: nothing was heard yet.</div>`;
  const first = Math.min(...points.map((one) => one[0]));
  const last = Math.max(...points.map((one) => one[0]), first + 1000);
  const most = top ?? ceiling(Math.max(...points.map((one) => one[1]), ...limits.map((one) => one.value)));
  const floor = log ? Math.max(bottom, 1) : bottom;
  const scale = (value) => (log
    ? Math.log(Math.min(Math.max(value, floor), most) / floor) / Math.log(Math.max(most / floor, 1.01))
    : (Math.min(Math.max(value, floor), most) - floor) / (most - floor));
  const x = (ms) => PAD.left + ((ms - first) / (last - first)) * (width - PAD.left - PAD.right);
  const y = (value) => head + (1 - scale(value)) * (height - head - PAD.bottom);
  const path = (line) => line.points.map(([ms, value], nr) => {
    const to = `${x(ms).toFixed(1)} ${y(value).toFixed(1)}`;
    return nr === 0 ? `M${to}` : step ? `H${x(ms).toFixed(1)}V${y(value).toFixed(1)}` : `L${to}`;
  }).join("");
  const middle = (floor + most) / 2;
  const ticks = log ? [1, 10, 100, 1e3, 1e4, 1e5, 1e6].filter((value) => value >= floor && value <= most)
    : [floor, whole ? Math.round(middle) : middle, most].filter((value, nr, all) => !all.slice(0, nr).includes(value));
  // Of limits that lie too close to be named each, the first names all.
  const namesAt = (limit) => {
    const near = limits.filter((one) => Math.abs(y(one.value) - y(limit.value)) < 14);
    return near[0] === limit ? near.map((one) => one.name).join(", ") : "";
  };
  const moved = (event) => {
    const left = event.currentTarget.getBoundingClientRect().left;
    const share = (event.clientX - left - PAD.left) / (width - PAD.left - PAD.right);
    point(share >= 0 && share <= 1 ? first + share * (last - first) : null);
  };
  const said = lines.map((line) => `${line.name} ${format(line.points.at(-1)?.[1] ?? 0)}`).join(", ");
  return html`<figure ref=${box} class="plot">${width > 0 && html`<svg width=${width} height=${height} role="img" aria-label=${`${label}: ${said} at last`}
      onPointerMove=${moved} onPointerLeave=${() => point(null)}>
    ${ticks.map((value) => html`<g><line class="hair" x1=${PAD.left} x2=${width - PAD.right} y1=${y(value)} y2=${y(value)} />
      <text class="tick" x=${PAD.left - 8} y=${y(value) + 4} text-anchor="end">${format(value)}</text></g>`)}
    <text class="tick" x=${PAD.left} y=${height - 5}>${stamp(first, last - first)}</text>
    <text class="tick" x=${width - PAD.right} y=${height - 5} text-anchor="end">${stamp(last, last - first)}</text>
    ${moments.filter((one) => one.ms >= first && one.ms <= last).map((one, nr, all) => html`<g class="moment">
      <line x1=${x(one.ms)} x2=${x(one.ms)} y1=${head} y2=${height - PAD.bottom} />
      ${!all.slice(nr + 1).some((later) => x(later.ms) - x(one.ms) < 46) && html`<text class="tick" x=${x(one.ms) + (x(one.ms) > width - 60 ? -4 : 4)} y=${head - 6} text-anchor=${x(one.ms) > width - 60 ? "end" : "start"}>${one.name}</text>`}</g>`)}
    ${lines.map((line) => html`<path class=${`line ${line.tone} ${line.dashed ? "dashed" : ""}`} d=${path(line)} />`)}
    ${limits.map((one) => html`<g><line class="limit" x1=${PAD.left} x2=${width - PAD.right} y1=${y(one.value)} y2=${y(one.value)} />
      <text class="tick limit-name" x=${width - PAD.right} y=${y(one.value) < head + 16 ? y(one.value) + 13 : y(one.value) - 5} text-anchor="end">${namesAt(one)}</text></g>`)}
    ${hover !== null && html`<line class="cross" x1=${x(hover)} x2=${x(hover)} y1=${head} y2=${height - PAD.bottom} />`}
  </svg>`}
  <figcaption class="legend">${hover === null ? lines.map((line) => html`<span><i class=${line.tone}></i>${line.name}</span>`)
    : html`<span>${instant(hover)}</span>${lines.map((line) => html`<span><i class=${line.tone}></i>${at(line, hover) === undefined ? "–" : format(at(line, hover))} ${line.name}</span>`)}`}</figcaption></figure>`;
}

/** A state by time, as spans: [{from, tone, name}], each until the next one. */
export function Strip({ spans, from, until, label }) {
  const whole = Math.max(1, until - from);
  const parts = spans.map((span, nr) => ({ ...span, begins: Math.max(span.from, from), ends: spans[nr + 1]?.from ?? until }))
    .filter((span) => span.ends > from);
  const said = parts.map((span) => span.name).filter((name, nr, all) => name !== all[nr - 1]).join(", then ");
  const unknown = parts.length ? parts[0].begins - from : whole;
  return html`<div class="strip" role="img" aria-label=${`${label}: ${said || "nothing heard"}`}>
    ${unknown > 0 && html`<span class="unknown" title="Nothing was heard yet" style=${{ flexGrow: unknown / whole }}></span>`}
    ${parts.map((span) => html`<span class=${span.tone} title=${`${span.name}, ${instant(span.begins)}`} style=${{ flexGrow: (span.ends - span.begins) / whole }}></span>`)}</div>`;
}

/** Counts by bin as bars, the baseline's shares as a step line; both as shares of their whole. */
export function Bins({ current, baseline, label, names, height = 200 }) {
  const [box, width] = useWidth();
  const whole = Math.max(1, current.reduce((sum, value) => sum + Math.max(0, value), 0));
  const now = current.map((value) => Math.max(0, value) / whole);
  const most = ceiling(100 * Math.max(...now, ...baseline)) / 100;
  const slot = Math.max(0, width - PAD.left - PAD.right) / Math.max(1, baseline.length);
  const y = (share) => PAD.top + (1 - share / most) * (height - PAD.top - PAD.bottom);
  const x = (nr) => PAD.left + nr * slot;
  const foot = height - PAD.bottom;
  const outline = baseline.map((share, nr) => `${nr ? "L" : `M${x(0)} ${foot}L`}${x(nr).toFixed(1)} ${y(share).toFixed(1)}H${x(nr + 1).toFixed(1)}`).join("");
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u00a0%`;
  return html`<figure ref=${box} class="plot">${width > 0 && html`<svg width=${width} height=${height} role="img" aria-label=${label}>
    ${[0, most / 2, most].map((share) => html`<g><line class="hair" x1=${PAD.left} x2=${width - PAD.right} y1=${y(share)} y2=${y(share)} />
      <text class="tick" x=${PAD.left - 8} y=${y(share) + 4} text-anchor="end">${percent(share)}</text></g>`)}
    ${now.map((share, nr) => html`<rect class="bin" x=${x(nr) + 1} width=${Math.max(1, slot - 2)} y=${y(share)} height=${Math.max(0, foot - y(share))}>
      <title>${`${names[nr]}: ${percent(share)} now, ${percent(baseline[nr])} in the baseline`}</title></rect>`)}
    <path class="line baseline" d=${`${outline}V${foot}`} />
    <text class="tick" x=${PAD.left} y=${height - 5}>${names[0]}</text>
    <text class="tick" x=${width - PAD.right} y=${height - 5} text-anchor="end">${names.at(-1)}</text>
  </svg>`}<figcaption class="legend"><span><i class="blue"></i>now</span><span><i class="outline"></i>baseline</span></figcaption></figure>`;
}
