"""Makes the runs that a comparison lacks: both sides, for each seed, here or on several processes.

Decides what one run of a comparison is asked for and what is kept of it: of the first seed everything a run
leaves behind, of the others what can be compared (record, devices, scenario). Leaves out reading them back
(sides.py), steps of a rehearsal (devicesim/rehearse.py), and the workers (devicesim/sweep/engines.py).

Rules: a run depends on its order alone, so how many processes there are changes no number; a run that
cannot be made ends all of them with its own error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from devicesim.compare.sides import Pair, Side, pair, read_side
from devicesim.guarded import GivenUp
from devicesim.rehearse import Rehearsal, open_scenario, rehearse_into
from devicesim.sweep.engines import open_engine
from devicesim.sweep.task import BROKEN, Keep, Setup, Task

JOBS_MAX: Final = 256
SEEDS_MAX: Final = 10_000
RUN_S_MAX: Final = 86_400.0
"""A run that takes longer than this many seconds of real time is given up."""


class RunBroken(GivenUp):
    """A run that could not be made, and why."""


class Wanted(msgspec.Struct, frozen=True):
    """One side as it was asked for: a scenario file with overrides, or a run that is there already."""

    path: Path
    overrides: tuple[str, ...] = ()

    @property
    def is_run(self) -> bool:
        """Whether it has been run."""
        return self.path.is_dir()


class Order(msgspec.Struct, frozen=True):
    """One run to make, in `folder`."""

    path: Path
    overrides: tuple[str, ...]
    seed: int
    until_ns: int | None
    folder: Path
    whole: bool
    """Whether trace and report are kept."""


Pulse = Callable[[Rehearsal, int], None]
Told = Callable[[Order, int, int], None]
"""Called with a finished order, how many are done, and how many there are."""


def seed_of(a: Wanted, b: Wanted, asked: int | None) -> int:
    """The first seed: the one asked for, that of a run, or A's own.

    Raises:
        ScenarioError: A is no valid scenario.
        FileNotFoundError: a folder is no run.
    """
    if asked is not None:
        return asked
    for side in (a, b):
        if side.is_run:
            return read_side(side.path).record.seed
    return open_scenario(a.path, a.overrides).seed


def orders(a: Wanted, b: Wanted, seeds: list[int], until_ns: int | None, out: Path) -> list[Order]:
    """The runs to make, A before B of each seed.

    Args:
        a: one side.
        b: the other.
        seeds: of the runs.
        until_ns: instant to stop at, ns.
        out: folder of the comparison; each run gets one below it.

    Raises:
        ScenarioError: a side is no valid scenario; told before anything runs.
    """
    for side in (a, b):
        if not side.is_run:
            open_scenario(side.path, side.overrides)
    return [
        Order(side.path, side.overrides, seed, until_ns, out / f"{name}-{seed}", place == 0)
        for place, seed in enumerate(seeds)
        for name, side in (("a", a), ("b", b))
        if not side.is_run
    ]


def carry_out(order: Order, pulse: Pulse | None = None) -> Path:
    """Make one run in this process; returns its folder.

    Raises:
        ScenarioError: the scenario is invalid.
    """
    rehearse_into(
        order.folder,
        order.path,
        order.overrides,
        seed=order.seed,
        whole=order.whole,
        until=order.until_ns,
        pulse=pulse,
    )
    return order.folder


def carry_out_all(todo: list[Order], jobs: int, told: Told) -> None:
    """Make all runs on so many processes.

    Raises:
        ValueError: `jobs` is out of range.
        RunBroken: a run could not be made; the others are not finished.
    """
    if not 1 <= jobs <= JOBS_MAX:
        raise ValueError(f"expected 1 to {JOBS_MAX} jobs, found {jobs}")
    if not todo:
        return
    file = todo[0].path
    setup = Setup(file=str(file), text=file.read_text("utf-8"), watch_all=False)
    orders_by_key = {str(order.folder): order for order in todo}
    with open_engine("processes", setup, min(jobs, len(todo)), task_s_max=RUN_S_MAX) as engine:
        for done, result in enumerate(engine.run(map(_task, todo)), 1):
            if result.verdict == BROKEN and result.first is not None:
                raise RunBroken(f"{result.key}: {result.first.name}: {result.first.story}")
            told(orders_by_key[result.key], done, len(todo))


def _task(order: Order) -> Task:
    keep = Keep(
        file=str(order.path),
        folder=str(order.folder),
        whole=order.whole,
        until_ns=order.until_ns,
    )
    return Task(key=str(order.folder), seed=order.seed, overrides=order.overrides, keep=keep)


def gather(a: Wanted, b: Wanted, seeds: list[int], out: Path) -> list[Pair]:
    """Read both sides of each seed back and pair them up.

    Raises:
        FileNotFoundError, ValueError: as `read_side` and `pair`.
    """

    def side(name: str, wanted: Wanted, seed: int) -> Side:
        return read_side(wanted.path if wanted.is_run else out / f"{name}-{seed}")

    return [pair(side("a", a, seed), side("b", b, seed)) for seed in seeds]
