"""What a gateway hands to whoever rehearses a rollout, and what comes back.

Decides the two documents, and when a plan is *the same* plan. Leaves out who rehearses (a process of its own:
devicesim/rehearsing) and what is kept (book.py).

Rules: a job names bytes by their SHA-256 and nothing else, so whoever rehearses reads what devices would fetch; a verdict
is bounded: `RUNS_MAX` runs, `STORY_LINES_MAX` lines; an answer that is not a verdict is no verdict.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.core.control.shape import Shape
from gateway.core.stimuli import RolloutPlan

SEEDS_MAX: Final = 16
RUNS_MAX: Final = SEEDS_MAX
STORY_LINES_MAX: Final = 16
LINE_CHARS_MAX: Final = 400
CHECKS_MAX: Final = 20
ASSUMPTIONS_MAX: Final = 32
VERDICT_BYTES_MAX: Final = 256 * 1024

Line = Annotated[str, Meta(max_length=LINE_CHARS_MAX)]
Outcome = Literal["held", "failed", "refused"]
HELD: Final = "held"
"""Every run held all that was to hold."""
FAILED: Final = "failed"
"""A run did not: the story says what happened."""
REFUSED: Final = "refused"
"""It could not be rehearsed; the reason says why."""


class Named(msgspec.Struct, frozen=True):
    """A registered bundle."""

    name: str
    """``id@semver``."""
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """Of its envelope."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that it takes to rehearse one plan."""

    number: int
    plan: RolloutPlan
    candidate: Named
    others: tuple[Named, ...] = ()
    """Bundles that devices run now."""
    shape: Shape
    seeds: Annotated[tuple[int, ...], Meta(min_length=1, max_length=SEEDS_MAX)] = (1, 2, 3)
    zone_offset: str = "UTC"
    """Distance from UTC of the plan's own zone."""
    blobs: str
    """Folder of blobs, each named by its SHA-256 in hex below a folder of its first two digits."""
    folder: str
    """Where files may be left."""
    devices_min: Annotated[int, Meta(ge=1)] = 200
    """Smaller fleets are rehearsed with so many devices of the same shape."""
    devices_max: Annotated[int, Meta(ge=1)] = 1_000
    """Larger ones with so many."""
    hours_max: Annotated[int, Meta(ge=1)] = 14 * 24
    """Longest that one run may last, in virtual time."""


class CheckTold(msgspec.Struct, frozen=True):
    """A check that did not hold."""

    name: Line
    kind: Line
    story: Line


class RunTold(msgspec.Struct, frozen=True):
    """One seed."""

    seed: int
    held: bool
    digest: Line
    """Of the trace: the same seed, the same digest."""
    state: Line
    """Of the rollout at the end."""
    why: Line
    exposed: int
    """Virtual devices that ran the candidate, on trial or for good."""
    devices: int
    virtual_s: float
    cpu_s: float
    failed: Annotated[tuple[CheckTold, ...], Meta(max_length=CHECKS_MAX)] = ()
    report: Line = ""
    """File of the report, in the job's folder."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a rehearsal."""

    outcome: Outcome
    why: Line
    """One sentence."""
    story: Annotated[tuple[Line, ...], Meta(max_length=STORY_LINES_MAX)] = ()
    """Of the first run that failed: what happened, in its order."""
    runs: Annotated[tuple[RunTold, ...], Meta(max_length=RUNS_MAX)] = ()
    assumptions: Annotated[tuple[Line, ...], Meta(max_length=ASSUMPTIONS_MAX)] = ()
    """Where the virtual fleet is not known to be like the real one."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of whoever rehearses: how far it is, and at last the verdict."""

    share: Annotated[float, Meta(ge=0, le=1)] = 0.0
    doing: Line = ""
    verdict: Verdict | None = None


def cut(text: str) -> str:
    """A text that fits a line of a verdict."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LINE_CHARS_MAX else flat[: LINE_CHARS_MAX - 3] + "..."


def plan_digest(plan: RolloutPlan) -> bytes:
    """SHA-256 of a plan: two plans with the same one ask for exactly the same."""
    return sha256(msgspec.json.encode(_spelled_out(plan), order="deterministic")).digest()


def _spelled_out(value: Any) -> Any:
    """With every field: a struct that leaves defaults out tells them from others by identity."""
    if isinstance(value, msgspec.Struct):
        return {name: _spelled_out(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_spelled_out(item) for item in value]
    return value


def read_job(text: bytes) -> Job:
    """Read a job.

    Raises:
        ValueError: it is none.
    """
    try:
        return msgspec.json.decode(text, type=Job)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected a job to rehearse, found: {error}") from error


def read_step(line: bytes) -> Step:
    """Read a line of whoever rehearses.

    Raises:
        ValueError: it is none.
    """
    if len(line) > VERDICT_BYTES_MAX:
        raise ValueError(f"expected at most {VERDICT_BYTES_MAX} bytes, found {len(line)}")
    try:
        return msgspec.json.decode(line, type=Step)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(
            f"expected how far a rehearsal is, found {line[:80]!r}: {error}"
        ) from error
