// Buttons for those who do not know the keys yet: each presses one.
import { html } from "./html.js";

const press = (key) => () => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));

export function Tools() {
  return html`<button class="find" onClick=${press("s")}>Search <kbd>Ctrl K</kbd></button>
    <button class="quiet" aria-label="Keys" title="Keys (?)" onClick=${press("?")}>?</button>`;
}
