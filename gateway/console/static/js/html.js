// The one place that knows which library draws.
import { h, render } from "../vendor/preact-10.29.8.module.js";
import htm from "../vendor/htm-3.1.1.module.js";

export {
  useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from "../vendor/preact-hooks-10.29.8.module.js";
export { render };
export const html = htm.bind(h);
