// What waits for a second person, and what was decided.
import { html, useCallback, useEffect, useState } from "../html.js";
import { all } from "../api.js";
import { ago, instant } from "../format.js";
import { session } from "../session.js";
import { Asking, Empty, Loading, Pill, Problem } from "../ui.js";
import { useTitle } from "../use.js";

const LOOK_MS = 5000;

export function Approvals() {
  useTitle("Approvals");
  const [{ found, problem }, set] = useState({ found: null, problem: null });
  const load = useCallback(async () => {
    try {
      const approvals = await all("/v1/approvals", "approvals", { words: { limit: 1000 } });
      set({ found: approvals.reverse(), problem: null });
    } catch (error) {
      set((before) => ({ ...before, problem: error }));
    }
  }, []);
  useEffect(() => {
    load();
    const timer = setInterval(load, LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  return html`<h1>Approvals</h1><${Problem} problem=${problem} />
    ${!found && !problem && html`<${Loading} of="approvals" />`}
    ${found && !found.length && html`<${Empty} title="Nothing waits for a second person"><p>Verbs that need one are named in the gateway's configuration:</p><pre>[security]${"\n"}second_person = ["rollout.create", "kill"]</pre></${Empty}>`}
    ${found && found.length > 0 && html`<ul class="cards">${found.map((one) => html`<${Request} key=${one.number} one=${one} reload=${load} />`)}</ul>`}`;
}

function Request({ one, reload }) {
  const { verb, ...words } = one.asked;
  const mine = one.asked_by === session.who.name;
  const open = one.state === "waits";
  const decide = (how, title, tone, text) => html`<${Asking} big tone=${tone} title=${`${title} request ${one.number}?`} yes=${title} text=${html`<p>${text}</p>`}
    request=${() => [`/v1/approvals/${one.number}/${how}`, { method: "POST", body: { why: "" } }]} after=${() => reload()}>${title}</${Asking}>`;
  return html`<li class="card"><header><h2>${one.number}. <span class="mono">${verb}</span></h2><${Pill} of=${one.state} /><span class="muted">asked by ${one.asked_by} (${one.role}), ${ago(one.asked_ms)}</span></header>
    <pre>${JSON.stringify(words, null, 2)}</pre>
    ${one.decided_by && html`<p class="muted">${one.state} by ${one.decided_by}, ${instant(one.decided_ms)} ${one.why}</p>`}
    ${open && mine && html`<p class="muted">It is your own request: somebody else must decide.</p>`}
    ${open && !mine && session.may("approve") && html`<div class="steering">${decide("approve", "Approve", "good", "It is done at once, in the name of whoever asked, with yours beside it.")}
      ${decide("deny", "Deny", "bad", "It is not done.")}</div>`}</li>`;
}
