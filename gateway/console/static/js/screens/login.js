// Coming in: a token, tried with whoami, kept for this tab.
import { html, useState } from "../html.js";
import { ask } from "../api.js";
import { session } from "../session.js";
import { Problem } from "../ui.js";
import { useTitle } from "../use.js";

export function Login() {
  useTitle("Sign in");
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const word = token.trim();
    if (!word || busy) return;
    setBusy(true);
    try {
      const { data } = await ask("/v1/whoami", { token: word });
      session.begin(word, data);
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<main class="login"><form onSubmit=${submit}>
    <img src="icon.svg" alt="" width="40" height="40" /><h1>fleetdrill</h1>
    <p class="muted">Models and flags for a fleet: ask for what should be, see what is.</p>
    ${session.ended && !problem && html`<p class="problem" role="alert">${session.ended}</p>`}
    <label class="field"><span>Token</span>
      <input type="password" name="token" autocomplete="current-password" spellcheck=${false} autofocus
        placeholder="fd_name_…" value=${token} onInput=${(e) => setToken(e.target.value)} /></label>
    <${Problem} problem=${problem} />
    <button type="submit" class="solid" disabled=${busy || !token.trim()}>${busy ? "Asking …" : "Sign in"}</button>
    <p class="muted small">The first token of a gateway lies in its state folder, in <code>admin.token</code>; others are made under
      Tokens. It stays in this tab and is gone when the tab is closed.</p>
  </form></main>`;
}
