// Registered bundles: what can be rolled out; and publishing one more.
import { html, useState } from "../html.js";
import { bytes } from "../format.js";
import { session } from "../session.js";
import { Empty, Loading, Problem } from "../ui.js";
import { useResource, useTitle } from "../use.js";
import { Publish, useDrop } from "./publish.js";

export function Bundles() {
  useTitle("Bundles");
  const { data, problem, reload } = useResource("/v1/bundles?limit=1000", ["rollouts"], 10000);
  const found = data?.bundles ?? [];
  const may = session.may("publish");
  const [publishing, set] = useState(null);  // {file}: of a dialog that is open
  const over = useDrop((file) => may && set({ file }));
  return html`<div class=${`heading ${over && may ? "hovering" : ""}`}><h1>Bundles</h1>${may && html`<button class="solid" data-new onClick=${() => set({ file: null })}>Publish a bundle</button>`}</div>
    ${publishing && html`<${Publish} file=${publishing.file} choose=${(file) => set({ file })} close=${() => set(null)} done=${() => reload()} />`}<${Problem} problem=${problem} retry=${problem && reload} />
    ${!data && !problem && html`<${Loading} of="bundles" />`}
    ${data && !found.length && html`<${Empty} title="No bundle is published"><p>Bundles are signed where the targets key is, which is never here. Publish a signed archive with the button above, or:</p><pre>fleetdrill bundle publish FOLDER --key targets.key</pre></${Empty}>`}
    ${found.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Bundles"><table><thead><tr><th>Bundle</th><th>Task</th><th class="right">Release</th><th>Digest</th><th class="wide">Variants</th><th><span class="unseen">Doing</span></th></tr></thead>
      <tbody>${found.map((one) => html`<tr key=${one.digest}><td><b>${one.name}</b></td><td class=${one.task ? "nowrap" : "nowrap muted"}>${one.task || "reads dials"}</td><td class="right">${one.release}</td><td class="mono muted" title=${one.digest}>${one.digest.slice(0, 12)}</td>
        <td class="wide">${one.variants.map((variant) => html`<span class="label"><i>${variant.name}</i> ${bytes(variant.image_bytes)}, ${variant.hardware.map((word) => (word === "*" ? "any hardware" : word)).join(" ")}</span> `)}</td>
        <td class="nowrap right">${session.may("roll-out") && html`<a class="button quiet" href=${`#/new-rollout?bundle=${encodeURIComponent(one.name)}`} aria-label=${`Roll out ${one.name}`}>Roll out</a>`}
          <a class="button quiet" href=${`#/devices?version=${encodeURIComponent(one.name)}`} aria-label=${`Devices that run ${one.name}`}>Devices</a></td></tr>`)}</tbody></table></div>`}`;
}
