// Light or dark: as the system says, until somebody chooses; kept in this browser.
const KEY = "fleetdrill.theme";
const ORDER = ["auto", "light", "dark"];

export const themeNow = () => localStorage.getItem(KEY) || "auto";

export function nextTheme() {
  const next = ORDER[(ORDER.indexOf(themeNow()) + 1) % ORDER.length];
  if (next === "auto") {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, next);
    document.documentElement.dataset.theme = next;
  }
  return next;
}
