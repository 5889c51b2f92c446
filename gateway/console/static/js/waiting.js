// What waits for somebody's word, as the gateway tells it: badges beside the names of two screens.
import { html, useEffect, useState } from "./html.js";
import { on } from "./live.js";
import { session } from "./session.js";

function useTold(topic, count) {
  const [told, set] = useState(kept[topic]);
  useEffect(() => {
    set(kept[topic]);
    return on(topic, (said) => set(count(said)));
  }, []);
  return told;
}

const requests = (said) => said?.waiting ?? 0;
const waves = (said) => (said?.rollouts ?? []).filter((one) => Number.isInteger(one.approval)).length;
const kept = { approvals: 0, rollouts: 0 };
on("approvals", (said) => { kept.approvals = requests(said); });
on("rollouts", (said) => { kept.rollouts = waves(said); });

function Badge({ many, words }) {
  if (!many) return null;
  return html`<span class="badge amber" title=${words}><span aria-hidden="true">${many > 99 ? "99+" : many}</span><span class="unseen">${` ${words}`}</span></span>`;
}

/** Requests for a second person. A token with a scope sees its own alone, so it is told no sum. */
export function ApprovalBadge() {
  const many = useTold("approvals", requests);
  return Object.keys(session.who.labels ?? {}).length ? null : html`<${Badge} many=${many} words=${`${many} ${many === 1 ? "waits" : "wait"} for a second person`} />`;
}

/** Rollouts whose next wave opens when somebody approves. */
export function WaveBadge() {
  const many = useTold("rollouts", waves);
  return html`<${Badge} many=${many} words=${many === 1 ? "1 wave waits for approval" : `${many} waves wait for approval`} />`;
}
