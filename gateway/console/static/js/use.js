// Hooks: a resource that stays fresh, a mutation with its problem, the place in the page, the time.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { ask } from "./api.js";
import { extras } from "./extras.js";
import { live, on } from "./live.js";

const POLL_MS = 15000;
const POLL_ALONE_MS = 4000;
const ROUNDS_MAX = 5;

/** Ask for `path` and again when one of `topics` changes (and now and then). Gives {data, etag, problem, reload}. */
export function useResource(path, topics = [], pollMs = POLL_MS) {
  const [found, set] = useState({ data: null, etag: null, problem: null, path });
  const tag = useRef({ path: null, etag: null });
  const load = useCallback(async (signal) => {
    if (!path) return;
    const etag = tag.current.path === path ? tag.current.etag : null;
    try {
      const answer = await ask(path, { etag, signal });
      if (signal?.aborted) return;
      tag.current = { path, etag: answer.etag };
      if (answer.status === 304) set((before) => (before.problem ? { ...before, problem: null } : before));
      else set({ data: answer.data, etag: answer.etag, problem: null, path });
    } catch (problem) {
      if (problem.name !== "AbortError" && !signal?.aborted) {
        set((before) => ({ ...(before.path === path ? before : { data: null, etag: null }), path, problem }));
      }
    }
  }, [path]);
  useEffect(() => {
    const mine = new AbortController();
    let timer;
    const round = async () => {
      await load(mine.signal);
      if (!mine.signal.aborted) timer = setTimeout(round, live.state === "live" ? pollMs : POLL_ALONE_MS);
    };
    round();
    const ends = topics.map((topic) => on(topic, () => load(mine.signal)));
    return () => {
      mine.abort();
      clearTimeout(timer);
      ends.forEach((end) => end());
    };
  }, [load, topics.join()]);
  const current = found.path === path ? found : { data: null, etag: null, problem: null };
  return { ...current, reload: load };
}

/** A mutation: {busy, problem, run(path, options)}; run gives the answer's data, or null after a problem. */
export function useMutation() {
  const [state, set] = useState({ busy: false, problem: null });
  const run = async (path, options, again) => {
    set({ busy: true, problem: null });
    let match = options.match;
    for (let round = 0; ; round += 1) {
      try {
        const { data } = await ask(path, { ...options, match });
        set({ busy: false, problem: null });
        return data ?? {};
      } catch (problem) {
        match = problem.status === 412 && again && round < ROUNDS_MAX ? await again().catch(() => null) : null;
        if (match === null) {
          set({ busy: false, problem });
          return null;
        }
      }
    }
  };
  return { ...state, run, forget: () => set({ busy: false, problem: null }) };
}

function placeNow() {
  const [path, words = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), words: new URLSearchParams(words) };
}

export function usePlace() {
  const [place, set] = useState(placeNow);
  useLayoutEffect(() => {
    const moved = () => set(placeNow());
    addEventListener("hashchange", moved);
    moved();
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}

export function go(hash) {
  location.hash = hash;
}

export function useNow(everyMs = 1000) {
  const [now, set] = useState(extras.now());
  useEffect(() => {
    const timer = setInterval(() => set(extras.now()), everyMs);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${title} · fleetdrill` : "fleetdrill";
  }, [title]);
}
