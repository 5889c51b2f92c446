// What waits for a second person, and what was decided.
import { html, useCallback, useEffect, useState } from "../html.js";
import { all } from "../api.js";
import { on } from "../live.js";
import { When } from "../when.js";
import { session } from "../session.js";
import { Asking, Empty, Loading, Pill, Problem } from "../ui.js";
import { useTitle } from "../use.js";

const LOOK_MS = 5000;
const empty = (value) => value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);

const SHARES = new Set(["waves", "failures", "quorum", "share", "tolerated", "errors", "apart", "staging_failures"]);
const percent = (share) => `${Number((100 * share).toPrecision(6))}\u00a0%`;

/** A value as people read it: lists with commas, names with colons, shares of a plan in per cent. */
function worded(value, name) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" && SHARES.has(name)) return percent(value);
  if (Array.isArray(value)) return value.map((one) => worded(one, name)).join(", ");
  if (value === null || typeof value !== "object") return String(value ?? "none");
  return Object.entries(value).map(([key, one]) => `${key}: ${one !== null && typeof one === "object" && !Array.isArray(one) ? `{${worded(one)}}` : worded(one, key)}`).join(", ");
}

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
    const end = on("approvals", load);
    return () => { clearInterval(timer); end(); };
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
  return html`<li class="card"><header><h2>${one.number}. <span class="mono">${verb}</span></h2><${Pill} of=${one.state} /><span class="muted">asked by ${one.asked_by} (${one.role}), <${When} ms=${one.asked_ms} /></span></header>
    <dl class="asked">${Object.entries(words).filter(([, value]) => !empty(value)).map(([key, value]) => html`<dt>${key.replaceAll("_", " ")}</dt><dd class=${typeof value === "string" ? "" : "mono"}>${worded(value, key)}</dd>`)}</dl>
    <details><summary>Exactly as it was asked</summary><pre>${JSON.stringify(one.asked, null, 2)}</pre></details>
    ${one.decided_by && html`<p class="below">${one.state} by <b>${one.decided_by}</b>, <${When} ms=${one.decided_ms} />${one.why && html`: ${one.why}`}</p>`}
    ${open && mine && html`<p class="muted">It is your own request: somebody else must decide.</p>`}
    ${open && !mine && session.may("approve") && html`<div class="steering">${decide("approve", "Approve", "good", "It is done at once, in the name of whoever asked, with yours beside it.")}
      ${decide("deny", "Deny", "bad", "It is not done.")}</div>`}</li>`;
}
