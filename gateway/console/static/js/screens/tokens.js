// Tokens: who may come in, as what, until when.
import { html, useState } from "../html.js";
import { segment } from "../api.js";
import { ago, instant } from "../format.js";
import { When } from "../when.js";
import { session } from "../session.js";
import { Asking, Dialog, Field, Labels, Loading, Pill, Problem } from "../ui.js";
import { useMutation, useNow, useResource, useTitle } from "../use.js";

const ROLES = ["viewer", "operator", "releaser", "security", "admin"];
const SOON_MS = 14 * 86400 * 1000;

function stateOf(token, now) {
  if (token.revoked_ms) return ["revoked", "plain"];
  if (token.expires_ms <= now) return ["expired", "plain"];
  if (token.expires_ms - now < SOON_MS) return ["ends soon", "amber"];
  return ["valid", "good"];
}

export function Tokens() {
  useTitle("Tokens");
  const { data, problem, reload } = useResource("/v1/tokens?limit=1000", [], 10000);
  const now = useNow(30000);
  return html`<div class="heading"><h1>Tokens</h1><${Make} reload=${reload} /></div><${Problem} problem=${problem} />
    ${!data && !problem && html`<${Loading} of="tokens" />`}
    ${data && html`<div class="scrolls" tabindex="0" role="region" aria-label="Tokens"><table><thead><tr><th>Name</th><th>Role</th><th>State</th><th>Only devices with</th><th>Made</th><th>Ends</th><th><span class="unseen">Doing</span></th></tr></thead>
      <tbody>${data.tokens.map((one) => {
        const [state, tone] = stateOf(one, now);
        return html`<tr key=${one.name}><td><b>${one.name}</b>${one.name === session.who.name && html` <span class="muted">you</span>`}</td><td>${one.role}</td><td><${Pill} tone=${tone}>${state}</${Pill}></td>
          <td><${Labels} of=${one.labels} /></td><td class="muted nowrap"><${When} ms=${one.made_ms} /> by ${one.made_by}</td><td class="nowrap" title=${instant(one.expires_ms)}>${one.revoked_ms ? `revoked by ${one.revoked_by}` : ago(one.expires_ms, now)}</td>
          <td>${state !== "revoked" && state !== "expired" && html`<${Asking} tone="bad" title=${`Revoke the token ${one.name}?`} yes="Revoke it" typed=${one.name} label=${`Revoke ${one.name}`}
            text=${html`<p>Whoever uses it is out at once. Its name is never used again.</p>`} request=${() => [`/v1/tokens/${segment(one.name)}`, { method: "DELETE" }]} after=${() => reload()}>Revoke</${Asking}>`}</td></tr>`;
      })}</tbody></table></div>`}`;
}

function Make({ reload }) {
  const [open, set] = useState(false);
  const [form, fill] = useState({ name: "", role: "viewer", life: "90d" });
  const [made, setMade] = useState(null);
  const { busy, problem, run } = useMutation();
  const close = () => { set(false); setMade(null); fill({ name: "", role: "viewer", life: "90d" }); };
  const submit = async (event) => {
    event.preventDefault();
    const answer = await run("/v1/tokens", { method: "POST", body: form });
    if (answer === null) return;
    setMade(answer);
    reload();
  };
  return html`<button class="solid" data-new onClick=${() => set(true)}>New token</button>
    ${open && html`<${Dialog} title=${made ? `The token ${made.name}` : "New token"} close=${close}>${made ? html`<div>
        <p>Its text is said this once. Give it to whom it is for, then close this.</p><pre class="secret" tabindex="0">${made.token}</pre>
        <div class="actions"><button class="quiet" onClick=${() => navigator.clipboard?.writeText(made.token)}>Copy</button><button class="solid" onClick=${close}>Close</button></div></div>`
    : html`<form onSubmit=${submit}>
        <${Field} label="Name" help="Small letters, digits and -. Never used twice."><input required name="name" pattern="[a-z][a-z0-9\\-]{0,39}" value=${form.name} onInput=${(e) => fill({ ...form, name: e.target.value })} autocomplete="off" /></${Field}>
        <${Field} label="Role"><select name="role" value=${form.role} onChange=${(e) => fill({ ...form, role: e.target.value })}>${ROLES.map((role) => html`<option>${role}</option>`)}</select></${Field}>
        <${Field} label="Lives for" help="At most 366 days."><input required name="life" value=${form.life} onInput=${(e) => fill({ ...form, life: e.target.value })} /></${Field}>
        <${Problem} problem=${problem} /><div class="actions"><button type="button" class="quiet" onClick=${close}>Cancel</button><button class="solid" disabled=${busy}>Make it</button></div></form>`}</${Dialog}>`}`;
}
