// What a page around this console adds to it: nothing on a gateway; a rehearsal has a player and another time.
// Set before main.js runs; nothing here is asked for over the network.
import { live } from "./live.js";

export const extras = {
  now: () => Date.now() + live.ahead,  // the gateway's time, whatever this computer's clock says
  since: "since this page was opened",
  top: null,       // a component above every screen
  device: null,    // a component on a device's screen, given {device}
  keys: [],        // [keys, words] for the list of keys
};
