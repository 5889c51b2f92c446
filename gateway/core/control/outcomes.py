"""What a device's report means for its want: which outcome, whose fault, and whether to try again.

Decides the reading of states and reasons. Leaves out the counting (rollouts.py).

Rules: success is a device that *says it runs* the wanted digest, for good and for this generation;
the words COMMITTED or IDLE alone are nothing (hawkBit 3185, 446). Waiting is not failing and is no
attempt. A failure that is held against the release puts the digest into quarantine for the device.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from devicesdk.wire.messages import UpdateState
from gateway.core.rows import DesiredRow, Outcome, ReportedRow


class Fault(enum.Enum):
    """Where a failure came from; each has its own budget."""

    CIRCUMSTANCE = "circumstance"
    """Link, storage, policy, load shedding: tried again, never held against the release."""
    INTEGRITY = "integrity"
    """Bytes that hash to something else: tried again, then held against the release."""
    RELEASE = "release"
    """Validation, trial, everything else: held against the release, never tried again."""


_FAULTS: Final = {
    **dict.fromkeys(
        [
            *("link", "timeout", "unreachable", "shed", "busy", "budget", "wait", "paused"),
            *("window", "policy", "power", "battery", "heat", "network", "consent", "clock"),
            *("storage", "flash", "full", "space", "expired", "nack", "gone", "superseded"),
            *("internalerror", "unauthorized", "resourcenotfound", "offsetoutofbounds"),
            *("invalidrequest", "blockcountlimitexceeded", "versionmismatch", "aborted"),
        ],
        Fault.CIRCUMSTANCE,
    ),
    **dict.fromkeys(["integrity", "hash", "digest", "chunk"], Fault.INTEGRITY),
}
"""By the first word of a reason; a word that is not here is the release's fault."""

_STORAGE: Final = frozenset({"storage", "flash", "full", "space"})
_FIRST_WORD: Final = re.compile(r"[a-z0-9]*")

_OUTCOMES: Final = {
    UpdateState.FAILED: Outcome.FAILED,
    UpdateState.TIMED_OUT: Outcome.FAILED,
    UpdateState.ROLLED_BACK: Outcome.ROLLED_BACK,
    UpdateState.REJECTED: Outcome.REJECTED,
    UpdateState.SUPERSEDED: Outcome.SUPERSEDED,
    UpdateState.CANCELED: Outcome.STOPPED,
}

_AT_RISK: Final = frozenset(
    {UpdateState.VERIFIED, UpdateState.STAGED, UpdateState.TRIAL, UpdateState.COMMITTED}
)


def in_sync(desired: DesiredRow, reported: ReportedRow) -> bool:
    """Whether the device runs what is wanted of it, for good, and knows that it is wanted.

    The digest decides, not the state: a device that was told to go back while it still ran the old
    bundle may well call that CANCELED.
    """
    return (
        reported.running == desired.manifest
        and not reported.trial
        and reported.generation >= desired.generation
    )


def outcome_of(state: UpdateState) -> Outcome | None:
    """The outcome that a state *alone* stands for; None for success and everything still open."""
    return _OUTCOMES.get(state)


def at_risk(state: UpdateState) -> bool:
    """Whether a device in this state holds the whole image, so that all that is left is the release's."""
    return state in _AT_RISK


def fault_of(state: UpdateState, reason: str) -> Fault:
    """Where a failure came from. A rollback is the release's unless storage failed; a timeout
    without a reason is nobody's."""
    word = _FIRST_WORD.match(reason.lower())
    if state is UpdateState.ROLLED_BACK:
        storage = word is not None and word[0] in _STORAGE
        return Fault.CIRCUMSTANCE if storage else Fault.RELEASE
    if word is None or not word[0]:
        timed_out = state is UpdateState.TIMED_OUT
        return Fault.CIRCUMSTANCE if timed_out else Fault.RELEASE
    return _FAULTS.get(word[0], Fault.RELEASE)
