// Take a device into the registry: its id, and labels.
import { html, useState } from "../html.js";
import { segment } from "../api.js";
import { Dialog, Field, Problem, notify } from "../ui.js";
import { go, useMutation } from "../use.js";
import { labelsOf } from "./new_rollout.js";

export function Enroll() {
  const [open, set] = useState(false);
  const [form, fill] = useState({ id: "", labels: "" });
  const { busy, problem, run, forget } = useMutation();
  const begin = () => {
    forget();
    fill({ id: "", labels: "" });
    set(true);
  };
  const submit = async (event) => {
    event.preventDefault();
    const id = form.id.trim();
    const answer = await run(`/v1/devices/${segment(id)}/labels`, { method: "PUT", body: { labels: labelsOf(form.labels) } });
    if (answer === null) return;
    notify(answer, `${id} is taken in.`);
    set(false);
    if (answer.waits === undefined) go(`#/devices/${segment(id)}`);
  };
  return html`<button class="solid" data-new onClick=${begin}>New device</button>
    ${open && html`<${Dialog} title="New device" close=${() => set(false)}><form onSubmit=${submit}>
      <${Field} label="Id" help="As the device itself says it; letters, digits and . _ : -"><input required autofocus name="id" pattern="[A-Za-z0-9][A-Za-z0-9._:\\-]{0,63}" value=${form.id} onInput=${(e) => fill({ ...form, id: e.target.value })} autocomplete="off" spellcheck=${false} /></${Field}>
      <${Field} label="Labels" help="Such as region:eu profile:rpi4. One that has labels already gets these instead."><input name="labels" value=${form.labels} onInput=${(e) => fill({ ...form, labels: e.target.value })} autocomplete="off" spellcheck=${false} /></${Field}>
      <${Problem} problem=${problem} />
      <div class="actions"><button type="button" class="quiet" onClick=${() => set(false)}>Cancel</button><button class="solid" disabled=${busy}>Take it in</button></div></form></${Dialog}>`}`;
}
