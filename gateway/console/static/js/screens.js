// All screens: where each is, which letter goes there, what somebody must be allowed to see it.
import { AlarmBadge } from "./alarms.js";
import { ApprovalBadge, WaveBadge } from "./waiting.js";
import { Alarms } from "./screens/alarms.js";
import { Approvals } from "./screens/approvals.js";
import { Audit } from "./screens/audit.js";
import { Bundles } from "./screens/bundles.js";
import { Device } from "./screens/device.js";
import { Devices } from "./screens/devices.js";
import { Drift } from "./screens/drift.js";
import { Experiments } from "./screens/experiments.js";
import { Flags } from "./screens/flags.js";
import { Fleet } from "./screens/fleet.js";
import { NewExperiment } from "./screens/new_experiment.js";
import { NewRollout } from "./screens/new_rollout.js";
import { Rollout } from "./screens/rollout.js";
import { Rollouts } from "./screens/rollouts.js";
import { Tokens } from "./screens/tokens.js";
import { Transfers } from "./screens/transfers.js";

export const SCREENS = [
  { path: "", title: "Fleet", key: "f", show: Fleet },
  { path: "alarms", title: "Alarms", key: "l", show: Alarms, badge: AlarmBadge },
  { path: "devices", title: "Devices", key: "d", show: Devices },
  { path: "rollouts", title: "Rollouts", key: "r", show: Rollouts, badge: WaveBadge },
  { path: "experiments", title: "Experiments", key: "e", show: Experiments },
  { path: "flags", title: "Flags and kill", key: "k", show: Flags },
  { path: "drift", title: "Drift", key: "h", show: Drift },
  { path: "bundles", title: "Bundles", key: "b", show: Bundles },
  { path: "transfers", title: "Transfers", key: "t", show: Transfers },
  { path: "approvals", title: "Approvals", key: "p", show: Approvals, badge: ApprovalBadge },
  { path: "audit", title: "Audit", key: "a", show: Audit, needs: "audit" },
  { path: "tokens", title: "Tokens", key: "u", show: Tokens, needs: "tokens" },
];
const DEVICE = { path: "device", under: "devices", title: "Device", show: Device, hidden: true };
const ROLLOUT = { path: "rollout", under: "rollouts", title: "Rollout", show: Rollout, hidden: true };
const NEW = { path: "new-rollout", under: "rollouts", title: "New rollout", show: NewRollout, needs: "roll-out", hidden: true };

const TRY = { path: "new-experiment", under: "experiments", title: "New experiment", show: NewExperiment, needs: "roll-out", hidden: true };

/** The screen of a place, and the words after its name. */
export function screenOf([name = "", ...words]) {
  if (name === "devices" && words.length) return [DEVICE, ...words];
  if (name === "rollouts" && words.length) return [ROLLOUT, ...words];
  if (name === "new-rollout") return [NEW, ...words];
  if (name === "new-experiment") return [TRY, ...words];
  return [SCREENS.find((screen) => screen.path === name) ?? SCREENS[0], ...words];
}
