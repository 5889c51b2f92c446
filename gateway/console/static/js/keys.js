// The keyboard: g and a letter goes to a screen, / to the filter, s to the search, j and k along a list, ? tells all.
// Rules: nothing while somebody types or a dialog is open, nothing with Control, Alt or Meta.
import { SCREENS } from "./screens.js";
import { session } from "./session.js";
import { go } from "./use.js";

const PATIENCE_MS = 1500;

function typing(target) {
  return target.closest("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]") !== null || document.querySelector("dialog[open]") !== null;
}

function along(step) {
  const rows = [...document.querySelectorAll("main [data-row]")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  rows[Math.min(rows.length - 1, Math.max(0, at + step))].focus();
}

/** Listen; gives the way to end it. */
export function listenToKeys({ help, search }) {
  let since = 0;
  const pressed = (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (document.querySelector("dialog[open]") === null) search();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (typing(event.target)) return;
    const key = event.key;
    if (since && Date.now() - since < PATIENCE_MS) {
      since = 0;
      const screen = SCREENS.find((one) => one.key === key && (!one.needs || session.may(one.needs)));
      if (screen) {
        event.preventDefault();
        go(`#/${screen.path}`);
      }
      return;
    }
    if (key === "g") since = Date.now();
    else if (key === "?") help();
    else if (key === "/") {
      const filter = document.querySelector("main [data-filter]");
      if (filter) {
        event.preventDefault();
        filter.focus();
        filter.select?.();
      }
    } else if (key === "s") {
      event.preventDefault();
      search();
    } else if (key === "j") along(1);
    else if (key === "k") along(-1);
    else if (key === "t") document.querySelector("[data-key=theme]")?.click();
    else if (key === "n") document.querySelector("main [data-new]")?.click();
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
