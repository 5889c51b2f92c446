// What the keyboard does.
import { html } from "./html.js";
import { extras } from "./extras.js";
import { SCREENS } from "./screens.js";
import { session } from "./session.js";

const KEYS = [
  ["?", "this list"], ["s", "search everything, also Ctrl K"], ["/", "to the filter"], ["j  k", "down and up a list"], ["Enter", "open"],
  ["n", "new, where something can be made"], ["t", "colours: system, light, dark"], ["Esc", "close"],
];

const row = ([keys, words]) => html`<div><dt>${keys.split(/\s+/).map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${words}</dd></div>`;

export function Help() {
  const screens = SCREENS.filter((screen) => screen.key && (!screen.needs || session.may(screen.needs)));
  return html`<div class="keys"><dl>${[...KEYS, ...extras.keys].map(row)}</dl>
    <dl>${screens.map((screen) => row([`g ${screen.key}`, screen.title]))}</dl></div>`;
}
