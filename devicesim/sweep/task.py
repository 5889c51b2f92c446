"""What is handed to a worker, and what comes back.

Decides the values that cross the border between processes and stand in the file of results. Leaves out
doing the work (bench.py) and who does it (engines.py).

Rules: values only, so that any engine can carry them; everything in a `Result` but `cpu_s` and `wall_s` is
the same whoever computed it, and `comparable` is what is held against another sweep, bit for bit.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

PASSED: Final = "passed"
FAILED: Final = "failed"
BROKEN: Final = "broken"
BROKEN_KIND: Final = "broken"
"""Kind of a `Failing` that is no check: the simulator raised, or its worker died."""
STORY_CHARS_MAX: Final = 400


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What all tasks of one engine share; a worker gets it once.

    `file` is where bundles and profiles are looked for from; `text` the scenario itself and `bases` the texts
    of all that it extends, by path, so that a file that is edited while a sweep runs changes nothing. `plugins` are ``module`` or ``module:function``,
    imported, and called, in each worker before its first task. `watch_all` has every ``sometimes`` seen,
    not only those that the scenario asks for.
    """

    file: str
    text: str
    bases: dict[str, str] = {}
    plugins: tuple[str, ...] = ()
    watch_all: bool = True


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is to leave in `folder`, which it makes: all of its files, or what it takes to compare it.

    `file` is the scenario, read by the worker; `until_ns` an instant to stop at.
    """

    file: str
    folder: str
    whole: bool
    until_ns: int | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `overrides` are those of ``--set``; `text` None: the setup's scenario.

    One with a `keep` leaves its files behind instead of outcomes in its result.
    """

    key: str
    seed: int
    overrides: tuple[str, ...] = ()
    text: str | None = None
    keep: Keep | None = None


class Failing(msgspec.Struct, frozen=True):
    """A check that did not hold. `at_s` is its first bad instant; `device` whom it was seen on."""

    name: str
    kind: str
    at_s: float | None = None
    story: str = ""
    device: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it the same failure in another run."""
        return self.name, self.kind


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result"):
    """What became of one task.

    `outcomes` are the measures that the run could read: shares from 0 to 1, durations in seconds, counts.
    `seen` counts sightings of each ``sometimes`` that occurred.
    """

    key: str
    seed: int
    verdict: Literal["passed", "failed", "broken"]
    digest: str = ""
    failing: tuple[Failing, ...] = ()
    outcomes: dict[str, float] = {}
    seen: dict[str, int] = {}
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def first(self) -> Failing | None:
        """The check that failed first; one without an instant counts as failed at the end."""
        timed = enumerate(self.failing)
        return min(timed, key=_earliest)[1] if self.failing else None

    def fails(self, identity: tuple[str, str]) -> Failing | None:
        """The failure of that name and kind, None when it did not occur."""
        return next((one for one in self.failing if one.identity == identity), None)

    def fails_by_name(self, name: str) -> Failing | None:
        """The failure of that name, whatever its kind."""
        return next((one for one in self.failing if one.name == name), None)


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A worker that cannot begin at all, such as one whose plugin cannot be imported."""

    why: str


Answer = Result | Refused


def comparable(result: Result) -> bytes:
    """The part of a result that does not depend on who computed it, and how fast."""
    return msgspec.json.encode(msgspec.structs.replace(result, cpu_s=0.0, wall_s=0.0))


def lost(task: Task, what: str, story: str) -> Result:
    """The result of a task that nobody finished."""
    failing = Failing(what, BROKEN_KIND, None, story[:STORY_CHARS_MAX])
    return Result(key=task.key, seed=task.seed, verdict=BROKEN, failing=(failing,))


def _earliest(numbered: tuple[int, Failing]) -> tuple[bool, float, int]:
    number, one = numbered
    return one.at_s is None, one.at_s or 0.0, number
