// Before the first paint: the theme that was chosen, so that nothing flashes.
const chosen = localStorage.getItem("fleetdrill.theme");
if (chosen) document.documentElement.dataset.theme = chosen;
