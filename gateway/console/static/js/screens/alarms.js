// Alarms: what is so, who looks after it, who does not want to hear of it.
import { html, useRef, useState } from "../html.js";
import { useAlarmCounts } from "../alarms.js";
import { ask, query } from "../api.js";
import { useBundles } from "../bundles.js";
import { ago, count, instant, lasting } from "../format.js";
import { session } from "../session.js";
import { Confirm, Empty, Field, Figure, Loading, More, Pill, Problem } from "../ui.js";
import { useNow, useResource, useTitle } from "../use.js";

const PAGE = 50;
const WHY_CHARS_MAX = 64;
const KINDS = {
  rollout_halted: "Rollout halted", drift: "Drift", offline: "Devices offline", broker_down: "Broker down", expiry: "Near its end",
  audit_broken: "Audit log broken", disk: "Disk", outbox: "Outbox", alarms_full: "Too many alarms",
};
const TONES = { raised: "plain", acknowledged: "blue", cleared: "good", critical: "bad", warning: "amber" };
const SPANS = [["30m", "30 minutes"], ["1h", "1 hour"], ["8h", "8 hours"], ["1d", "1 day"], ["7d", "7 days"]];
const OPEN = new Set(["open", "raised", "acknowledged"]);
const rank = (alarm) => Number(alarm.severity === "critical");
const PLACES = {
  rollout_halted: (one) => [`#/rollouts/${encodeURIComponent(one.subject)}`, "Look at the rollout"],
  drift: () => ["#/drift", "Look at drift"],
  offline: () => ["#/devices", "Look at devices"],
  audit_broken: () => ["#/audit", "Look at the log"],
};

export function Alarms({ words }) {
  useTitle("Alarms");
  return words.length ? html`<${One} id=${words[0]} />` : html`<${All} />`;
}

function All() {
  const [state, setState] = useState("open");
  const [kind, setKind] = useState("");
  const asked = { state, kind, limit: PAGE };
  const first = useResource(`/v1/alarms${query(asked)}`, ["alarms"]);
  const [older, setOlder] = useState({ alarms: [], next: undefined });
  const [problem, setProblem] = useState(null);
  // Of what is over, the newest comes first; of what is open, what is critical, on whichever page it would be.
  const open = OPEN.has(state);
  const urgent = useResource(open ? `/v1/alarms${query({ ...asked, severity: "critical" })}` : null, ["alarms"]);
  const critical = open ? urgent.data?.alarms ?? [] : [];
  const newest = first.data?.alarms ?? [];
  const once = new Map([...older.alarms, ...newest, ...critical].map((one) => [one.id, one]));
  const shown = [...once.values()].sort((one, other) => (open && rank(other) - rank(one)) || other.id - one.id);
  const reload = () => { first.reload(); urgent.reload(); };
  const failed = first.problem ?? (open ? urgent.problem : null);
  const next = older.next === undefined ? first.data?.next : older.next;
  const more = async () => {
    try {
      const { data } = await ask(`/v1/alarms${query({ ...asked, cursor: next })}`);
      setOlder({ alarms: [...older.alarms, ...data.alarms], next: data.next });
    } catch (error) {
      setProblem(error);
    }
  };
  const choose = (set) => (event) => {
    setOlder({ alarms: [], next: undefined });
    set(event.target.value);
  };
  return html`<h1>Alarms</h1>
    <${Problem} problem=${failed ?? problem} retry=${failed && reload} />
    <${Figures} />
    <div class="filters"><select data-filter aria-label="State" value=${state} onChange=${choose(setState)}><option value="open">open</option><option value="raised">nobody looks after</option>
        <option value="acknowledged">acknowledged</option><option value="cleared">over</option><option value="">all</option></select>
      <select aria-label="Kind" value=${kind} onChange=${choose(setKind)}><option value="">every kind</option>${Object.entries(KINDS).map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select></div>
    ${!first.data && !first.problem && html`<${Loading} of="alarms" />`}
    ${first.data && !failed && !shown.length && html`<${Nothing} state=${state} kind=${kind} />`}
    ${shown.length > 0 && html`<ul class="cards">${shown.map((one) => html`<li key=${one.id}><${Alarm} alarm=${one} reload=${reload} /></li>`)}</ul>`}
    <${More} next=${next} more=${more} />`;
}

function One({ id }) {
  const { data, problem, reload } = useResource(`/v1/alarms/${encodeURIComponent(id)}`, ["alarms"]);
  return html`<p class="crumbs"><a href="#/alarms">Alarms</a></p><div class="heading"><h1>${(data && KINDS[data.kind]) ?? "Alarm"}</h1><span class="mono muted">${id}</span></div><${Problem} problem=${problem} />
    ${!data && !problem && html`<${Loading} of="the alarm" />`}
    ${data && html`<div class="cards"><${Alarm} alarm=${data} reload=${reload} /></div>`}`;
}

function Figures() {
  const counts = useAlarmCounts();
  return html`<div class="figures">
    <${Figure} title="Open" note="conditions that hold" tone=${counts.open ? "amber" : ""}>${count(counts.open)}</${Figure}>
    <${Figure} title="Critical" note="look now" tone=${counts.critical ? "bad" : ""}>${count(counts.critical)}</${Figure}>
    <${Figure} title="Acknowledged" note="somebody looks after them">${count(counts.acknowledged)}</${Figure}>
    <${Figure} title="Silent" note="webhook and MQTT are not told">${count(counts.silent)}</${Figure}></div>`;
}

function Nothing({ state, kind }) {
  if (state !== "open" || kind) return html`<${Empty} title="No alarm is like that"><p>Choose another state or kind.</p></${Empty}>`;
  return html`<${Empty} title="Nothing is wrong"><p>Halted rollouts, drift, devices that are away, a lost broker, certificates and roles near their end, a full disk
    and a changed audit log show up here. Whoever does not look at this page is told by a webhook or by MQTT:</p><pre>[alarms]${"\n"}mqtt = true${"\n"}webhook_url = "…"${"\n"}webhook_secret_file = "webhook.secret"</pre></${Empty}>`;
}

/** A sentence that says bundles' names where the gateway says how their digests begin. */
const named = (says, list) => says.replace(/\b[0-9a-f]{16}\b/g, (begins) => list.find((one) => one.digest.startsWith(begins))?.name ?? begins);

function Alarm({ alarm, reload }) {
  const bundles = useBundles();
  const now = useNow(5000);
  const open = alarm.state !== "cleared";
  const silent = open && alarm.silent_until_ms > now;
  const [href, words] = PLACES[alarm.kind]?.(alarm) ?? [];
  return html`<article class=${`card alarm ${open ? TONES[alarm.severity] : "over"}`} aria-labelledby=${`alarm-${alarm.id}`}>
    <header><${Pill} tone=${open ? TONES[alarm.severity] : "plain"} of=${alarm.severity} /><span class="muted">${KINDS[alarm.kind] ?? alarm.kind}</span>
      <${Pill} tone=${TONES[alarm.state]} of=${alarm.state === "cleared" ? "over" : alarm.state} />${silent && html`<${Pill} tone="plain">silent</${Pill}>`}
      <time class="muted" title=${instant(alarm.raised_ms)}>${ago(alarm.raised_ms, now)}</time></header>
    <h2 id=${`alarm-${alarm.id}`}><a data-row href=${`#/alarms/${alarm.id}`}>${named(alarm.says, bundles.list)}</a></h2>
    <p class="muted small">${facts(alarm, now, silent).join(" · ")}</p>
    <div class="steering">${open && session.may("alarm") && html`${alarm.state === "raised" && html`<${Acknowledge} alarm=${alarm} after=${reload} />`}
        <${Silence} alarm=${alarm} silent=${silent} after=${reload} />`}
      ${href && html`<a class="button quiet" href=${href}>${words}</a>`}</div>
  </article>`;
}

function facts(alarm, now, silent) {
  const found = [];
  if (alarm.state === "cleared") found.push(`lasted ${lasting(alarm.cleared_ms - alarm.raised_ms)}, over since ${instant(alarm.cleared_ms)}`);
  else found.push(`raised ${instant(alarm.raised_ms)}`);
  if (alarm.count > 1) found.push(`raised ${count(alarm.count)} times since ${instant(alarm.first_ms)}`);
  if (alarm.acknowledged_by) found.push(`acknowledged by ${alarm.acknowledged_by} ${ago(alarm.acknowledged_ms, now)}${alarm.acknowledged_why && `: ${alarm.acknowledged_why}`}`);
  if (silent) found.push(`silent until ${instant(alarm.silent_until_ms)}, says ${alarm.silenced_by}${alarm.silenced_why && `: ${alarm.silenced_why}`}`);
  return found;
}

/** Asks first; acts on the alarm as it was when it was asked, or as it is if only the time has passed. */
function Attending({ alarm, how, title, yes, tone, start, text, after, children }) {
  const [looked, set] = useState(null);
  const [problem, setProblem] = useState(null);
  const body = useRef(start);
  const { list } = useBundles();
  const path = `/v1/alarms/${alarm.id}`;
  const look = async () => {
    body.current = { ...start };
    try {
      set(await ask(path));
    } catch (error) {
      setProblem(error);
    }
  };
  const again = async () => {
    const found = await ask(path);
    const same = found.data.state === looked.data.state && found.data.severity === looked.data.severity;
    return same ? found.etag : null;
  };
  const request = () => [`${path}/${how}`, { method: "POST", body: body.current, match: looked.etag }];
  return html`<button class=${`quiet ${tone}`} aria-label=${`${title}: ${alarm.says}`} onClick=${look}>${children}</button><${Problem} problem=${problem} />
    ${looked && html`<${Confirm} ...${{ title, request, again, yes, tone }} text=${html`<p>${named(looked.data.says, list)}</p>${text(body.current)}`} after=${() => after()} close=${() => set(null)} />`}`;
}

const Why = ({ into }) => html`<${Field} label="Why" help="For the others, and for the audit log."><input maxlength=${WHY_CHARS_MAX} onInput=${(e) => { into.why = e.target.value; }} /></${Field}>`;

function Acknowledge({ alarm, after }) {
  return html`<${Attending} alarm=${alarm} how="acknowledge" title="Acknowledge" tone="good" start=${{ why: "" }} after=${after}
    text=${(into) => html`<p class="muted">You look after it. If it gets worse, it is raised again.</p><${Why} into=${into} />`}>Acknowledge</${Attending}>`;
}

function Silence({ alarm, silent, after }) {
  if (silent) return html`<${Attending} key="end" alarm=${alarm} how="silence" title="End the silence" tone="" start=${{ lasts: "0s", why: "" }} after=${after}
    text=${() => html`<p class="muted">Webhook and MQTT are told of it again.</p>`}>End the silence</${Attending}>`;
  return html`<${Attending} key="begin" alarm=${alarm} how="silence" title="Silence" tone="" start=${{ lasts: "1h", why: "" }} after=${after}
    text=${(into) => html`<p class="muted">Webhook and MQTT are not told when it comes and goes, unless it gets worse.</p>
      <${Field} label="For"><select onChange=${(e) => { into.lasts = e.target.value; }}>${SPANS.map(([span, name]) => html`<option value=${span} selected=${span === into.lasts}>${name}</option>`)}</select></${Field}><${Why} into=${into} />`}>Silence</${Attending}>`;
}
