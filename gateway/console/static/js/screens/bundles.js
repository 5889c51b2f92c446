// Registered bundles: what can be rolled out.
import { html } from "../html.js";
import { bytes } from "../format.js";
import { session } from "../session.js";
import { Empty, Loading, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";

export function Bundles() {
  useTitle("Bundles");
  const { data, problem, reload } = useResource("/v1/bundles?limit=1000", ["rollouts"], 10000);
  const found = data?.bundles ?? [];
  return html`<h1>Bundles</h1><${Problem} problem=${problem} retry=${problem && reload} />
    ${!data && !problem && html`<${Loading} of="bundles" />`}
    ${data && !found.length && html`<${Empty} title="No bundle is published"><p>Bundles are signed where the targets key is, which is never here:</p><pre>fleetdrill bundle publish FOLDER --key targets.key</pre></${Empty}>`}
    ${found.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Bundles"><table><thead><tr><th>Bundle</th><th>Task</th><th class="right">Release</th><th>Digest</th><th class="wide">Variants</th><th><span class="unseen">Doing</span></th></tr></thead>
      <tbody>${found.map((one) => html`<tr key=${one.digest}><td><b>${one.name}</b></td><td class=${one.task ? "nowrap" : "nowrap muted"}>${one.task || "reads dials"}</td><td class="right">${one.release}</td><td class="mono muted" title=${one.digest}>${one.digest.slice(0, 12)}</td>
        <td class="wide">${one.variants.map((variant) => html`<span class="label"><i>${variant.name}</i> ${bytes(variant.image_bytes)}, ${variant.hardware.map((word) => (word === "*" ? "any hardware" : word)).join(" ")}</span> `)}</td>
        <td class="nowrap right">${session.may("roll-out") && html`<a class="button quiet" href=${`#/new-rollout?bundle=${encodeURIComponent(one.name)}`} aria-label=${`Roll out ${one.name}`}>Roll out</a>`}
          <a class="button quiet" href=${`#/devices?version=${encodeURIComponent(one.name)}`} aria-label=${`Devices that run ${one.name}`}>Devices</a></td></tr>`)}</tbody></table></div>`}`;
}
