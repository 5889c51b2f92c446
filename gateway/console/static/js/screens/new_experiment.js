// A new experiment: a candidate beside production.
import { html, useState } from "../html.js";
import { useBundles } from "../bundles.js";
import { Field, Problem, notify } from "../ui.js";
import { go, useMutation, useResource, useTitle } from "../use.js";
import { labelsOf } from "./new_rollout.js";

const MODES = {
  shadow: "Both read the same; only production's answer is used. Nobody notices the candidate.",
  interleaved: "They take turns on each device; both are used.",
  bandit: "Devices go to whichever does better, ever more of them, up to the share.",
};
const BEGIN = {
  id: "", bundle: "", production: "", mode: "shadow", selector: "", segment: "all", share: "100", tolerated: "2", brake: "20", freeze: "2",
  evidence: "20", promote: "evidence", errors: "5", latency: "", look: "15m", waves: "100", soak: "1m", jitter: "1m",
};

function asked(form) {
  const share = (text) => Number(text) / 100;
  const word = (name) => form[name].trim();
  return {
    id: word("id"), bundle: word("bundle"), production: word("production"), mode: form.mode, segment: word("segment"),
    selector: labelsOf(form.selector), share: share(form.share), tolerated: share(form.tolerated), brake: Number(form.brake),
    freeze: Number(form.freeze), evidence: Number(form.evidence), promote: form.promote, errors: share(form.errors),
    latency_ms_max: Number(form.latency || 0), look: word("look"), waves: form.waves.split(/[\s,]+/).filter(Boolean).map(share),
    soak: word("soak"), jitter: word("jitter"),
  };
}

export function NewExperiment({ place }) {
  useTitle("New experiment");
  const [form, set] = useState({ ...BEGIN, bundle: place.words.get("bundle") ?? "" });
  const { list } = useBundles();
  const segments = useResource("/v1/flags?limit=1000", ["flags"]).data?.segments ?? [];
  const { busy, problem, run } = useMutation();
  const text = (name) => ({ name, value: form[name], autocomplete: "off", onInput: (event) => set({ ...form, [name]: event.target.value }) });
  const choice = (name, words) => html`<select name=${name} value=${form[name]} onChange=${(event) => set({ ...form, [name]: event.target.value })}>${words.map(([value, said]) => html`<option value=${value}>${said}</option>`)}</select>`;
  const unknown = (name) => form[name] && list.length > 0 && !list.some((one) => one.name === form[name].trim()) && "Not published yet.";
  const submit = async (event) => {
    event.preventDefault();
    const answer = await run("/v1/experiments", { method: "POST", body: asked(form) });
    if (answer === null) return;
    notify(answer, "The experiment begins.");
    go(answer.waits ? "#/approvals" : "#/experiments");
  };
  return html`<p class="crumbs"><a href="#/experiments">Experiments</a></p><h1>New experiment</h1>
    <form class="sheet" onSubmit=${submit}>
      <fieldset><legend>What, and beside what</legend>
        <${Field} label="Name" help="Also of the rollout that stages the candidate, and of its flag."><input required autofocus pattern="[A-Za-z0-9._\\-]{1,64}" spellcheck=${false} ...${text("id")} /></${Field}>
        <${Field} label="Candidate" help=${unknown("bundle") || "name@version, published before."}><input required list="bundles" class="mono" spellcheck=${false} ...${text("bundle")} /></${Field}>
        <${Field} label="Production" help=${unknown("production") || "What it is compared with."}><input required list="bundles" class="mono" spellcheck=${false} ...${text("production")} /></${Field}>
        <datalist id="bundles">${list.map((one) => html`<option value=${one.name}></option>`)}</datalist>
        <${Field} label="How" help=${MODES[form.mode]}>${choice("mode", Object.keys(MODES).map((name) => [name, name]))}</${Field}>
        <${Field} label="Only devices with these labels" help="Such as region:eu. Empty: the whole fleet."><input ...${text("selector")} /></${Field}>
      </fieldset>
      <fieldset><legend>Who takes part</legend>
        <${Field} label="Share of devices, %" help=${form.mode === "bandit" ? "The candidate never gets more than this." : "That have both."}><input required type="number" step="any" min="0.1" max="100" ...${text("share")} /></${Field}>
        <${Field} label="Staged in waves up to, %"><input required ...${text("waves")} /></${Field}>
        <${Field} label="Soak after each wave"><input required ...${text("soak")} /></${Field}>
        <${Field} label="Spread of the beginning"><input required ...${text("jitter")} /></${Field}>
        <${Field} label="Time between two looks"><input required ...${text("look")} /></${Field}>
        <${Field} label="Segment of its flag" help="Devices listen to one segment each: all, where their configuration names none."><input required list="segments" spellcheck=${false} ...${text("segment")} /></${Field}>
        <datalist id="segments">${segments.map((one) => html`<option value=${one.segment}></option>`)}</datalist>
      </fieldset>
      <fieldset><legend>What decides</legend>
        <${Field} label="Tolerated bad windows, %"><input required type="number" step="any" min="0.01" max="100" ...${text("tolerated")} /></${Field}>
        <${Field} label="Frames in error that make a window bad, %"><input required type="number" step="any" min="0" max="99" ...${text("errors")} /></${Field}>
        <${Field} label="Latency p95 that makes it bad, ms" help="Empty: not looked at."><input type="number" step="any" min="0" ...${text("latency")} /></${Field}>
        <${Field} label="Evidence against it that stops" help="False alarms are at most one in this many."><input required type="number" step="any" min="1.01" ...${text("brake")} /></${Field}>
        <${Field} label="Evidence against it that freezes shares"><input required type="number" step="any" min="1.01" ...${text("freeze")} /></${Field}>
        <${Field} label="Evidence for it that promotes"><input required type="number" step="any" min="1.01" ...${text("evidence")} /></${Field}>
        <${Field} label="Promoted">${choice("promote", [["evidence", "when the evidence says so"], ["manual", "by somebody"]])}</${Field}>
      </fieldset>
      <${Problem} problem=${problem} />
      <div class="actions"><a class="button quiet" href="#/experiments">Cancel</a><button type="submit" class="solid" disabled=${busy}>${busy ? "Asking …" : "Start the experiment"}</button></div>
    </form>`;
}
