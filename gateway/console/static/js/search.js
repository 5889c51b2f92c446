// To anything by its name: screens, rollouts, experiments, bundles, flags, and devices by id or label.
// Rules: what is bounded is asked for once, when this opens; of devices the first few whose ids begin so; all others are
// left to the devices' own list.
import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { ask, query, segment } from "./api.js";
import { SCREENS } from "./screens.js";
import { session } from "./session.js";
import { Dialog } from "./ui.js";
import { go } from "./use.js";

const SHOWN_MAX = 12;
const DEVICES_MAX = 5;
const PAUSE_MS = 150;

async function named() {
  const get = (path) => ask(path).then(({ data }) => data).catch(() => ({}));
  const [rollouts, experiments, bundles, segments] = await Promise.all([
    get("/v1/rollouts?order=newest&limit=200"), get("/v1/experiments?limit=200"), get("/v1/bundles?limit=1000"), get("/v1/flags?limit=200"),
  ]);
  return [
    ...(rollouts.rollouts ?? []).map((one) => ({ name: one.id, kind: `rollout, ${one.state}`, to: `#/rollouts/${segment(one.id)}` })),
    ...(experiments.experiments ?? []).map((one) => ({ name: one.id, kind: `experiment, ${one.state}`, to: "#/experiments" })),
    ...(bundles.bundles ?? []).map((one) => ({ name: one.name, kind: "devices that run it", to: `#/devices?version=${segment(one.name)}` })),
    ...(segments.segments ?? []).flatMap((one) => one.flags.map((flag) => ({ name: flag, kind: `flag of ${one.segment}`, to: "#/flags" }))),
  ];
}

/** Whether a word stands in a name. */
const fits = (name, word) => name.toLowerCase().includes(word);

export function Search({ close }) {
  const [text, set] = useState("");
  const [known, learn] = useState([]);
  const [devices, find] = useState([]);
  const [at, move] = useState(0);
  const list = useRef();
  const word = text.trim().toLowerCase();
  useEffect(() => {
    let here = true;
    named().then((found) => here && learn(found));
    return () => { here = false; };
  }, []);
  useEffect(() => {
    find([]);
    const id = text.trim();
    if (!id || id.includes(":")) return undefined;
    const mine = new AbortController();
    const timer = setTimeout(() => {
      ask(`/v1/devices${query({ prefix: id, limit: DEVICES_MAX })}`, { signal: mine.signal }).then(({ data }) => find(data.devices)).catch(() => {});
    }, PAUSE_MS);
    return () => { clearTimeout(timer); mine.abort(); };
  }, [text]);
  const shown = useMemo(() => {
    const screens = SCREENS.filter((screen) => !screen.needs || session.may(screen.needs)).map((screen) => ({ name: screen.title, kind: "screen", to: `#/${screen.path}` }));
    if (!word) return screens;
    const begun = devices.map((one) => ({ name: one.id, kind: one.online ? "device, online" : "device, offline", to: `#/devices/${segment(one.id)}` }));
    const all = [...begun, ...known.filter((one) => fits(one.name, word)), ...screens.filter((one) => fits(one.name, word))];
    return [...all.slice(0, SHOWN_MAX), { name: text.trim(), kind: word.includes(":") ? "devices with this label" : "devices whose id has this", to: `#/devices?label=${segment(text.trim())}` }];
  }, [word, known, devices]);
  const chosen = Math.min(at, shown.length - 1);
  const pressed = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move((chosen + (event.key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length);
      list.current?.children[chosen]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      close();
      go(shown[chosen].to);
    } else if (event.key === "Escape") {
      event.preventDefault();  // a search field would empty itself first
      close();
    }
  };
  return html`<${Dialog} title=${html`<span class="unseen">Search</span>`} close=${close} kind="palette">
    <input type="search" autofocus role="combobox" aria-expanded="true" aria-controls="found" aria-activedescendant=${`found-${chosen}`} aria-label="Search"
      placeholder="device, rollout, bundle, flag, screen, or label such as region:eu" autocomplete="off" spellcheck=${false}
      value=${text} onInput=${(event) => { set(event.target.value); move(0); }} onKeyDown=${pressed} />
    <ul id="found" role="listbox" aria-label="Found" ref=${list}>${shown.map((one, nr) => html`<li role="presentation" key=${`${one.kind} ${one.name}`}><a role="option" id=${`found-${nr}`} aria-selected=${nr === chosen ? "true" : "false"}
      tabindex="-1" href=${one.to} onClick=${close}><b title=${one.name}>${one.name}</b><span class="muted">${one.kind}</span></a></li>`)}</ul>
    <p class="foot muted"><kbd>↑</kbd> <kbd>↓</kbd> choose, <kbd>Enter</kbd> go there, <kbd>Esc</kbd> close</p></${Dialog}>`;
}
