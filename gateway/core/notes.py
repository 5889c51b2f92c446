"""The kinds of `Note` that the control machine makes, each with the sentence that it stands for.

Decides names and wording. Leaves out instants and sinks. A note never decides anything; a host may
drop all of them. In a sentence ``{subject}``, ``{a}`` and ``{b}`` are the note's fields.
"""

from __future__ import annotations

from typing import Final

ROLLOUT_CREATED: Final = "rollout.created"
ROLLOUT_REFUSED: Final = "rollout.refused"
ROLLOUT_WAITING: Final = "rollout.waiting"
ROLLOUT_COMPLETED: Final = "rollout.completed"
ROLLOUT_HALTED: Final = "rollout.halted"
ROLLOUT_ABORTED: Final = "rollout.aborted"
ROLLOUT_STEERED: Final = "rollout.steered"
STEER_REFUSED: Final = "rollout.steer_refused"
WAVE_OPENED: Final = "wave.opened"
WAVE_QUORUM: Final = "wave.quorum"
WAVE_PASSED: Final = "wave.passed"
WAVE_SILENT: Final = "wave.silent"
WAVE_AWAITS: Final = "wave.awaits"
WAVE_APPROVED: Final = "wave.approved"
WAVE_DENIED: Final = "wave.denied"
WAVE_CUT: Final = "wave.cut"
DECISION_REFUSED: Final = "wave.decision_refused"
LATE: Final = "device.late"
OFFER: Final = "device.offer"
RETRY: Final = "device.retry"
REVERT: Final = "device.revert"
HOLD: Final = "device.hold"
NOT_BACK: Final = "device.not_back"
REISSUE: Final = "device.reissue"
EXPOSED: Final = "device.exposed"
COMMITTED: Final = "device.committed"
REVERTED: Final = "device.reverted"
STAGED: Final = "device.staged"
FAILED: Final = "device.failed"
ROLLED_BACK: Final = "device.rolled_back"
REJECTED: Final = "device.rejected"
LEFT: Final = "device.left"
FELL_BACK: Final = "device.fell_back"
QUARANTINED: Final = "device.quarantined"
ALARM: Final = "device.alarm"
FULL: Final = "device.full"
BUNDLE_REGISTERED: Final = "bundle.registered"
BUNDLE_REFUSED: Final = "bundle.refused"
DELTA_REGISTERED: Final = "delta.registered"
DELTA_REFUSED: Final = "delta.refused"
DELTA_FAILED: Final = "delta.failed"
FLAG_SET: Final = "flag.set"
FLAG_REFUSED: Final = "flag.refused"
KILL_SET: Final = "kill.set"
KILL_REFUSED: Final = "kill.refused"
CANDIDATE_LEFT: Final = "device.candidate_left"
BOOT_BACK: Final = "device.boot_back"
EXPERIMENT_REFUSED: Final = "experiment.refused"
LATENCY_STRIKE: Final = "gate.latency_strike"
DRAIN_STRIKE: Final = "gate.drain_strike"
ROLE_REGISTERED: Final = "role.registered"
ROLE_REFUSED: Final = "role.refused"
ROLE_WAITS: Final = "role.waits"
TIME_TOLD: Final = "device.time_told"
DEBUG_GRANTED: Final = "debug.granted"
DEBUG_REFUSED: Final = "debug.refused"
DEBUG_REVOKED: Final = "debug.revoked"
DEBUG_BEGAN: Final = "debug.began"
DEBUG_ENDED: Final = "debug.ended"
QUERY: Final = "gateway.query"
REPUBLISH: Final = "gateway.republish"
BAD_MESSAGE: Final = "gateway.bad_message"

SENTENCES: Final[dict[str, str]] = {
    ROLLOUT_CREATED: "Rollout {subject} was created with {a} waves for {b} devices.",
    ROLLOUT_REFUSED: "A rollout was refused: {subject}.",
    ROLLOUT_WAITING: "A rollout waits: {subject}.",
    ROLLOUT_COMPLETED: "Rollout {subject} is complete: {a} of {b} offered devices committed.",
    ROLLOUT_HALTED: "A rollout was halted after {a} blamed failures in {b} judged: {subject}.",
    ROLLOUT_ABORTED: "A rollout was aborted: {subject}.",
    ROLLOUT_STEERED: "Somebody steered a rollout: {subject}.",
    STEER_REFUSED: "A verb does not fit the rollout as it is: {subject}.",
    WAVE_OPENED: "Wave {a} of rollout {subject} opened for {b} more devices.",
    WAVE_QUORUM: "Enough of wave {a} of rollout {subject} has ended ({b} devices); it soaks.",
    WAVE_PASSED: "Wave {a} of rollout {subject} passed its gate with {b} commits.",
    WAVE_SILENT: "Nobody of wave {a} of rollout {subject} committed in time; it waits on.",
    WAVE_AWAITS: "Wave {a} of rollout {subject}, to {b} % of its devices, waits for somebody to approve.",
    WAVE_APPROVED: "Somebody let wave {a} open: {subject}.",
    WAVE_DENIED: "Somebody denied wave {a}: {subject}.",
    WAVE_CUT: "{b} devices of wave {a} of rollout {subject} could not be offered it in time; they join a later one.",
    DECISION_REFUSED: "There is nothing to decide: {subject}.",
    LATE: "Device {subject} came late; it waits to be offered the update ({a} such devices wait).",
    OFFER: "Device {subject} was offered the update as generation {a}, in wave {b}.",
    RETRY: "Device {subject} is offered the update again as generation {a}, attempt {b}.",
    REVERT: "Device {subject} is to go back, as generation {a}.",
    HOLD: "Device {subject} is to stay where it is, as generation {a}.",
    NOT_BACK: "Device {subject} is left where it is, not sent back from generation {a} (wave {b}): it never said "
    "what it ran before, and an operator's word is not enough where rollouts must be rehearsed.",
    REISSUE: "Device {subject} knew generation {a}, newer than ours: it gets {b}.",
    EXPOSED: "Device {subject} runs the candidate on trial (generation {a}, wave {b}).",
    COMMITTED: "Device {subject} committed generation {a} (wave {b}).",
    STAGED: "Device {subject} holds generation {a} beside what it runs (wave {b}).",
    REVERTED: "Device {subject} is back on its earlier bundle (generation {a}, wave {b}).",
    FAILED: "Device {subject} failed generation {a} (wave {b}).",
    ROLLED_BACK: "Device {subject} rolled generation {a} back by itself (wave {b}).",
    REJECTED: "Device {subject} rejected generation {a} (wave {b}); it is not offered again.",
    LEFT: "Device {subject} left generation {a} for another or was stopped (wave {b}).",
    FELL_BACK: "Device {subject} no longer runs what it had committed as generation {a} (wave {b}).",
    QUARANTINED: "Device {subject} must not be given this bundle again ({a} digests in quarantine).",
    ALARM: "Device {subject} raised or ended an alarm with value {a}.",
    FULL: "Device {subject} is not taken in: {a} devices are the limit.",
    BUNDLE_REGISTERED: "Bundle {subject} was registered with {a} variants.",
    BUNDLE_REFUSED: "A bundle was refused: {subject}.",
    DELTA_REGISTERED: "A delta of {a} bytes to image {subject} was registered.",
    DELTA_REFUSED: "A delta was refused: {subject}.",
    DELTA_FAILED: "A delta was of no use, {a} times so far; device {subject}.",
    FLAG_SET: "A flag was set: {subject}, revision {a}.",
    FLAG_REFUSED: "A flag was refused: {subject}.",
    KILL_SET: "The kill list is now version {a}; killed: {subject}.",
    KILL_REFUSED: "A kill was refused: {subject}.",
    CANDIDATE_LEFT: "A device fell back from a candidate to production by itself: {subject}.",
    BOOT_BACK: "Device {subject} counts its boots anew: {a}, after {b} has said nothing for long.",
    EXPERIMENT_REFUSED: "An experiment was refused: {subject}.",
    LATENCY_STRIKE: "Latency of a cohort is above the gate's ratio for the {a}. time: {subject}.",
    DRAIN_STRIKE: "Batteries of a cohort empty faster than the gate allows for the {a}. time: {subject}.",
    ROLE_REGISTERED: "New {subject} metadata is in force; the root is version {a}.",
    ROLE_REFUSED: "Role metadata was refused: {subject}.",
    ROLE_WAITS: "Devices are told nothing new before targets and this gateway's keys fit the root: {subject}.",
    TIME_TOLD: "Device {subject} asked what time it is, and is told with generation {a}.",
    DEBUG_GRANTED: "Debug mode is granted for {a} s as number {b}: {subject}.",
    DEBUG_REFUSED: "Debug mode is not granted: {subject}.",
    DEBUG_REVOKED: "Debug mode is revoked, grant {a}: {subject}.",
    DEBUG_BEGAN: "Device {subject} is in debug mode by grant {a}.",
    DEBUG_ENDED: "Debug mode of a device is over, grant {a}: {subject}.",
    QUERY: "{a} devices are asked to report; {b} are still to be asked.",
    REPUBLISH: "{a} open wants are published again; {b} are still to come.",
    BAD_MESSAGE: "A message of {subject} was not understood and dropped ({a} so far).",
}
"""What each kind means, for people."""
