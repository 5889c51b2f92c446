// How many alarms are open, as the gateway tells it; for the badge beside the screen's name.
import { html, useEffect, useState } from "./html.js";
import { on } from "./live.js";

const none = { open: 0, raised: 0, acknowledged: 0, critical: 0, silent: 0, newest: 0 };
let known = none;
on("alarms", (said) => { known = said?.alarms ?? none; });

/** Open alarms in sum, live. */
export function useAlarmCounts() {
  const [counts, set] = useState(known);
  useEffect(() => {
    set(known);
    return on("alarms", (said) => set(said?.alarms ?? none));
  }, []);
  return counts;
}

export function AlarmBadge() {
  const { open, critical } = useAlarmCounts();
  if (!open) return null;
  return html`<span class=${`badge ${critical ? "bad" : "amber"}`}><span aria-hidden="true">${open > 99 ? "99+" : open}</span><span class="unseen">${` ${open} open${critical ? `, ${critical} critical` : ""}`}</span></span>`;
}
