// Who sits here: a token, kept for this tab only, and what the gateway says it may do.
// Rules: the token is never part of an address, and leaves the tab only in the Authorization header.

const KEY = "fleetdrill.token";
const listeners = new Set();

export const session = {
  token: sessionStorage.getItem(KEY) || "",
  who: null,
  ended: "",

  begin(token, who) {
    sessionStorage.setItem(KEY, token);
    Object.assign(session, { token, who, ended: "" });
    tell();
  },

  end(why = "") {
    sessionStorage.removeItem(KEY);
    Object.assign(session, { token: "", who: null, ended: why });
    tell();
  },

  may(permission) {
    return session.who !== null && session.who.permissions.includes(permission);
  },
};

function tell() {
  for (const listener of listeners) listener();
}

export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
