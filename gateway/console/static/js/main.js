// The frame: who sits here, where in the page they are, what is live, what the keyboard does.
import { html, render, useEffect, useLayoutEffect, useState } from "./html.js";
import { ask } from "./api.js";
import * as live from "./live.js";
import { extras } from "./extras.js";
import { listenToKeys } from "./keys.js";
import { begin as beginHistory } from "./history.js";
import { onSession, session } from "./session.js";
import { Login } from "./screens/login.js";
import { Help } from "./help.js";
import { Search } from "./search.js";
import { SCREENS, screenOf } from "./screens.js";
import { Tools } from "./tools.js";
import { nextTheme, themeNow } from "./theme.js";
import { Dialog, Notices } from "./ui.js";
import { usePlace } from "./use.js";

const STATES = { live: "live", waiting: "no connection", off: "connecting" };

function Live() {
  const [state, set] = useState(live.live.state);
  useEffect(() => live.on("state", set), []);
  return html`<span class=${`live ${state}`} role="status"><span class="spot"></span>${STATES[state]}</span>`;
}

function Theme() {
  const [theme, set] = useState(themeNow());
  return html`<button class="quiet" data-key="theme" title="Colours: as the system says, light, dark (t)"
    aria-label=${`Colours: ${theme}`} onClick=${() => set(nextTheme())}><span class="moon" aria-hidden="true"></span>${theme}</button>`;
}

function Navigation({ current }) {
  const shown = SCREENS.filter((screen) => !screen.hidden && (!screen.needs || session.may(screen.needs)));
  useEffect(() => document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [current]);
  return html`<nav aria-label="Screens"><a class="brand" href="#/"><img src="icon.svg" alt="" width="22" height="22" />fleetdrill</a>
    <ul>${shown.map((screen) => html`<li><a href=${`#/${screen.path}`}
      aria-current=${screen.path === current ? "page" : undefined} title=${`g ${screen.key}`}>${screen.title}${screen.badge && html`<${screen.badge} />`}</a></li>`)}</ul>
  </nav>`;
}

function Account() {
  const { name, role } = session.who;
  return html`<div class="account"><${Tools} /><${Live} /><span class="who"><b>${name}</b> <span class="muted">${role}</span></span>
    <${Theme} />${!extras.top && html`<button class="quiet" onClick=${() => session.end()}>Sign out</button>`}</div>`;
}

function Frame() {
  const place = usePlace();
  const [help, setHelp] = useState(false);
  const [searching, search] = useState(false);
  const [screen, ...words] = screenOf(place.parts);
  useLayoutEffect(() => listenToKeys({ help: () => setHelp((before) => !before), search: () => search(true) }), []);
  useEffect(() => {
    live.open();
    const end = beginHistory();
    return () => { end(); live.close(); };
  }, []);
  useEffect(() => { document.getElementById("main").scrollTop = 0; scrollTo(0, 0); }, [place.parts.join("/")]);
  const allowed = !screen.needs || session.may(screen.needs);
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to the content</a>
    <div class="frame">
      <${Navigation} current=${screen.under ?? screen.path} />
      <div class="stage">
        ${extras.top && html`<${extras.top} />`}
        <header class="top"><${Account} /></header>
        <main id="main" tabindex="-1">${allowed
          ? html`<${screen.show} key=${`${place.parts.join("/")}?${place.words}`} words=${words} place=${place} />`
          : html`<h1>${screen.title}</h1><p class="muted">Expected somebody who may ${screen.needs}, found the role ${session.who.role}.</p>`}</main>
      </div>
    </div>
    ${help && html`<${Dialog} title="Keys" close=${() => setHelp(false)} wide><${Help} /></${Dialog}>`}
    ${searching && html`<${Search} close=${() => search(false)} />`}
    <${Notices} />`;
}

function App() {
  const [, again] = useState(0);
  const [asked, setAsked] = useState(!session.token || session.who !== null);
  useEffect(() => onSession(() => again((n) => n + 1)), []);
  useEffect(() => {
    if (asked) return;
    ask("/v1/whoami").then(({ data }) => session.begin(session.token, data))
      .catch((problem) => session.end(problem.status === 401 || problem.status === 404 ? problem.detail : problem.message))
      .finally(() => setAsked(true));
  }, []);
  if (!asked) return html`<p class="boot muted" role="status">Asking who you are …</p>`;
  return session.who ? html`<${Frame} />` : html`<${Login} />`;
}

render(html`<${App} />`, document.getElementById("app"));
