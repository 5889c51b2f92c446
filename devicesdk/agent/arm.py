"""One device's part in an experiment: whose turn a burst is, and what was seen of the candidate.

Decides which slot a burst runs from, whether the candidate fails so much that production must run again
at once, and what a shadow burst tells. Leaves out which experiment this device is in and how a candidate
gets into the inactive slot (experiments.py, update.py).

===========  ================================================================================
shadow       production runs and is acted on; the candidate sees the same frames
interleaved  the bursts take turns; what the candidate reads is acted on in its turn
bandit       the candidate runs every burst of a device that the allocation names
===========  ================================================================================

Rules: a shadow that fails does no harm, so it has no guardrail, but it does not run while the chip is
throttled; of a shadow only counts are told, never a reading: how many frames both saw, how many they
disagree on, and how many only one of them failed.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from devicesdk.agent.stimuli import Conditions, FramesRan
from devicesdk.agent.telemetry import ERROR, READING, Rows, encode_window
from devicesdk.wire.messages import Telemetry

_SHADOW_KEY: Final = {f.name: f.encode_name for f in msgspec.structs.fields(Telemetry)}["shadow"]


APART_PERMILLE: Final = 50


class Definition(msgspec.Struct, frozen=True, gc=False):
    """What the object flag ``experiment.<id>`` says to one device."""

    mode: Literal["shadow", "interleaved", "bandit", "promote", "stop"]
    bundle: str
    """Digest of the candidate's manifest, in hex: another image in the slot takes no part."""
    arm: Literal["candidate", "production"] = "production"
    errors_permille_max: int = 1000
    """Frames in error of one burst; more, and this device falls back."""
    latency_ms_max: float = 0.0
    """Mean latency of one burst; more, and this device falls back. 0: not judged."""
    apart_permille: int = APART_PERMILLE
    """Readings further apart than this disagree."""


class Arm:
    """The candidate's turns on this device.

    Args:
        name: of the experiment.
        definition: as this device understands it.
        slot: where the candidate is.
        active: where production is.
    """

    __slots__ = ("active", "definition", "name", "on_candidate", "slot", "tripped")

    def __init__(self, name: str, definition: Definition, slot: str, active: str) -> None:
        self.name, self.definition = name, definition
        self.slot, self.active = slot, active
        self.on_candidate = False
        """Whether the burst that runs or ran last is the candidate's."""
        self.tripped = ""
        """Why the candidate must not have another turn here."""

    def turn(self, conditions: Conditions) -> tuple[str, str]:
        """The slot that the next burst runs from, and the slot that sees the same frames (or none)."""
        mode = self.definition.mode
        if mode == "shadow":
            return self.active, "" if conditions.throttled else self.slot
        self.on_candidate = mode == "bandit" or not self.on_candidate
        return (self.slot if self.on_candidate else self.active), ""

    def judge(self, ran: FramesRan, errors: int) -> None:
        """Hold a burst of the candidate against its guardrails."""
        if not self.on_candidate:
            return
        limits = self.definition
        if errors * 1000 > limits.errors_permille_max * ran.frames:
            self.tripped = "guard:errors"
        elif 0 < limits.latency_ms_max * 1000 < ran.latency_us:
            self.tripped = "guard:latency"


def compare(served: Rows, shadow: Rows, apart_permille: int) -> tuple[int, int, int, int]:
    """Frames seen by both, disagreed on, failed by the candidate alone, failed by production alone."""
    apart = alone = alone_production = 0
    for row, other in zip(served, shadow, strict=True):
        if row[ERROR] or other[ERROR]:
            alone += not row[ERROR]
            alone_production += not other[ERROR]
        elif abs(row[READING] - other[READING]) > apart_permille:
            apart += 1
    return len(shadow), apart + alone + alone_production, alone, alone_production


def shadow_window(
    boot_id: int,
    seq: int,
    bundle8: bytes,
    flags_rev: int,
    span_ns: int,
    ran: FramesRan,
    served: Rows,
    apart_permille: int,
) -> bytes:
    """The telemetry window of a shadow: the candidate's own counts, and how it compares."""
    assert ran.shadow is not None, "a window of a shadow that did not run"
    rows = ran.shadow.rows()
    seen = FramesRan(
        ran.burst,
        ran.frames,
        ran.shadow,
        ran.shadow_latency_us,
        ran.throttled_frames,
        ran.conditions,
    )
    payload, _ = encode_window(
        boot_id, seq, bundle8, flags_rev, span_ns, seen, rows, sketches=False
    )
    body: dict[str, Any] = msgspec.msgpack.decode(payload)
    body[_SHADOW_KEY] = compare(served, rows, apart_permille)
    return msgspec.msgpack.encode(body)
