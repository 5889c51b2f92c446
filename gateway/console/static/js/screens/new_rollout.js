// A new staged rollout.
import { html, useMemo, useState } from "../html.js";
import { useBundles } from "../bundles.js";
import { PlanRehearsal } from "../rehearsal.js";
import { Field, Problem, notify } from "../ui.js";
import { go, useMutation, useTitle } from "../use.js";

const BEGIN = {
  id: "", bundle: "", waves: "1, 10, 25, 100", soak: "20m", wave_timeout: "1d", jitter: "1m", selector: "", on_halt: "revert",
  failures: "2", evidence: "20", quorum: "90", latency: "", drift: false,
  start_at: "", windows: "", zone: "", budgets: "", approvals: "", unrehearsed: "",
};
const MORE = ["start_at", "windows", "zone", "budgets", "approvals", "unrehearsed"];

/** Labels of words such as region:eu. */
export function labelsOf(text) {
  return Object.fromEntries(text.split(/[\s,]+/).filter(Boolean).map((word) => {
    const at = word.search(/[:=]/);
    return at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
  }));
}

const words = (text) => text.split(/[\s,]+/).filter(Boolean);
const lines = (text) => text.split(/[\n,]+/).map((line) => line.trim()).filter(Boolean);

/** What is seldom wanted: only the words that were filled in. */
function more(form) {
  const budget = (text) => (/^\d+$/.test(text) ? Number(text) : text);
  const all = {
    start_at: form.start_at && new Date(form.start_at).toISOString(),
    windows: lines(form.windows),
    zone: form.zone.trim(),
    budgets: Object.fromEntries(Object.entries(labelsOf(form.budgets)).map(([label, most]) => [label, budget(most)])),
    approvals: words(form.approvals).map(Number),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => (typeof value === "string" ? value : Object.keys(value).length)));
}

function asked(form) {
  const share = (text) => Number(text) / 100;
  return {
    id: form.id.trim(),
    bundle: form.bundle.trim(),
    waves: words(form.waves).map(share),
    soak: form.soak.trim(),
    wave_timeout: form.wave_timeout.trim(),
    jitter: form.jitter.trim(),
    selector: labelsOf(form.selector),
    on_halt: form.on_halt,
    gate: {
      failures: share(form.failures), evidence: Number(form.evidence), quorum: share(form.quorum), drift: form.drift,
      latency_p95_ratio: form.latency === "" ? null : Number(form.latency),
    },
    ...more(form),
  };
}

export function NewRollout({ place }) {
  useTitle("New rollout");
  const [form, set] = useState({ ...BEGIN, bundle: place.words.get("bundle") ?? "" });
  const bundles = useBundles();
  const { busy, problem, run } = useMutation();
  const text = (name) => ({ value: form[name], onInput: (event) => set({ ...form, [name]: event.target.value }) });
  const steps = useMemo(() => words(form.waves).map(Number).filter((n) => n > 0 && n <= 100), [form.waves]);
  const submit = async (event) => {
    event.preventDefault();
    const reason = form.unrehearsed.trim();
    const body = { ...asked(form), ...(reason && { unrehearsed: reason }) };
    const answer = await run("/v1/rollouts", { method: "POST", body });
    if (answer === null) return;
    notify(answer, "The rollout begins.");
    go(answer.waits ? "#/approvals" : `#/rollouts/${encodeURIComponent(body.id)}`);
  };
  return html`<p class="crumbs"><a href="#/rollouts">Rollouts</a></p><h1>New rollout</h1>
    <form class="sheet" onSubmit=${submit}>
      <fieldset><legend>What, and to whom</legend>
        <${Field} label="Name" help="Stays in the audit log: once used, never again."><input required name="id" autofocus autocomplete="off" spellcheck=${false} ...${text("id")} /></${Field}>
        <${Field} label="Bundle" help=${form.bundle && bundles.list.length && !bundles.list.some((one) => one.name === form.bundle.trim()) ? "Not published yet: the rollout would wait for it." : "name@version, published before."}><input required name="bundle" list="bundles" autocomplete="off" spellcheck=${false} class="mono" ...${text("bundle")} /></${Field}>
        <datalist id="bundles">${bundles.list.map((one) => html`<option value=${one.name}></option>`)}</datalist>
        <${Field} label="Only devices with these labels" help="Such as region:eu. Empty: the whole fleet."><input name="selector" autocomplete="off" ...${text("selector")} /></${Field}>
      </fieldset>
      <fieldset><legend>Waves</legend>
        <${Field} label="Up to this share, %" help="Each wave takes the fleet up to its share."><input required name="waves" autocomplete="off" ...${text("waves")} /></${Field}>
        <div class="steps" aria-hidden="true">${steps.map((step) => html`<span><i style=${{ height: `${Math.max(3, step)}%` }}></i></span>`)}</div>
        <${Field} label="Soak after each wave"><input required name="soak" ...${text("soak")} /></${Field}>
        <${Field} label="A wave may last"><input required name="wave_timeout" ...${text("wave_timeout")} /></${Field}>
        <${Field} label="Spread of the beginning"><input required name="jitter" ...${text("jitter")} /></${Field}>
      </fieldset>
      <fieldset><legend>Gate</legend>
        <${Field} label="Tolerated failures, %"><input required type="number" step="any" min="0" max="100" name="failures" ...${text("failures")} /></${Field}>
        <${Field} label="Evidence that halts" help="False alarms are at most one in this many."><input required type="number" step="any" min="1" name="evidence" ...${text("evidence")} /></${Field}>
        <${Field} label="Quorum, %" help="So many of a wave must have ended."><input required type="number" step="any" min="1" max="100" name="quorum" ...${text("quorum")} /></${Field}>
        <${Field} label="Latency p95, at most times the old one" help="Empty: not looked at."><input type="number" step="any" min="0" name="latency" ...${text("latency")} /></${Field}>
        <label class="check"><input type="checkbox" name="drift" checked=${form.drift} onChange=${(e) => set({ ...form, drift: e.target.checked })} /> Drift halts it</label>
        <${Field} label="When it halts"><select name="on_halt" value=${form.on_halt} onChange=${(e) => set({ ...form, on_halt: e.target.value })}>
          <option value="revert">go back to what ran before</option><option value="hold">hold, wait for somebody</option></select></${Field}>
      </fieldset>
      <${More} text=${text} filled=${MORE.filter((name) => form[name].trim()).length} />
      <${PlanRehearsal} plan=${asked(form)} />
      <${Problem} problem=${problem} />
      <div class="actions"><a class="button quiet" href="#/rollouts">Cancel</a><button type="submit" class="solid" disabled=${busy}>${busy ? "Asking …" : "Start the rollout"}</button></div>
    </form>`;
}

function More({ text, filled }) {
  return html`<details class="more-words"><summary>When, how many at once, and who agrees${filled > 0 && html` <b>${filled} set</b>`}</summary><div class="sheet">
    <fieldset><legend>When</legend>
      <${Field} label="Not before" help="On this computer's clock. Empty: at once."><input type="datetime-local" name="start_at" ...${text("start_at")} /></${Field}>
      <${Field} label="Windows" help="On each device's own clock, one a line, such as Mon-Fri 01:00-05:00. Empty: always."><textarea name="windows" rows="2" spellcheck=${false} ...${text("windows")}></textarea></${Field}>
      <${Field} label="Time zone" help="Of devices whose label tz names none. Empty: UTC."><input name="zone" placeholder="Europe/Berlin" autocomplete="off" spellcheck=${false} ...${text("zone")} /></${Field}>
    </fieldset>
    <fieldset><legend>How many at once</legend>
      <${Field} label="Budgets" help="Such as site:2 region:10%. Of each value of a label, at most so many are updating or offline."><input name="budgets" autocomplete="off" spellcheck=${false} ...${text("budgets")} /></${Field}>
    </fieldset>
    <fieldset><legend>Who agrees</legend>
      <${Field} label="Waves that wait for approval" help="Numbers from 0, such as 1, 3."><input name="approvals" pattern="[0-9, ]*" autocomplete="off" ...${text("approvals")} /></${Field}>
      <${Field} label="Why without a rehearsal" help="Only where one is required: somebody else must approve."><input name="unrehearsed" maxlength="200" autocomplete="off" ...${text("unrehearsed")} /></${Field}>
    </fieldset></div></details>`;
}
