// Names of bundles by digest: devices say digests, people say names. Asked for once, again when one is unknown.
import { useEffect, useState } from "./html.js";
import { all } from "./api.js";
import { short } from "./format.js";
import { onSession } from "./session.js";

const AGAIN_MS = 10000;
let names = new Map();
let list = [];
let asked = 0;
let underWay = null;

onSession(() => {
  asked = 0;
  names = new Map();
});

function load() {
  asked = Date.now();
  underWay = all("/v1/bundles", "bundles", { words: { limit: 1000 } })
    .then((found) => {
      list = found;
      names = new Map(found.map((one) => [one.digest, one.name]));
    })
    .catch(() => {})
    .finally(() => { underWay = null; });
  return underWay;
}

/** There is a new one: whoever wants names next asks again. */
export function renewBundles() {
  asked = 0;
}

/** {name(digest), list}: names as far as they are known, digests otherwise. */
export function useBundles() {
  const [, again] = useState(0);
  useEffect(() => {
    let here = true;
    const done = () => here && again((n) => n + 1);
    if (Date.now() - asked > AGAIN_MS) load().then(done);
    else if (underWay) underWay.then(done);
    return () => { here = false; };
  }, []);
  return { list, name: (digest) => names.get(digest) ?? short(digest) };
}
