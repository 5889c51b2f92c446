"""Makes the runs that a comparison lacks: both sides, for each seed, here or on several processes.

Decides what one run of a comparison is asked for and what is kept of it: of the first seed everything a run
leaves behind, of the others what can be compared (record, devices, scenario). Leaves out reading them back
(sides.py), and steps of a rehearsal (devicesim/rehearse.py).

Rules: a run depends on its order alone, so how many processes there are changes no number; a run that
cannot be made ends all of them with its own error.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import msgspec

from devicesim.compare.sides import Pair, Side, pair, read_side
from devicesim.rehearse import Rehearsal, open_scenario

JOBS_MAX: Final = 256
SEEDS_MAX: Final = 10_000


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
    """Make one run; returns its folder.

    Raises:
        ScenarioError: the scenario is invalid.
    """
    scenario = open_scenario(order.path, order.overrides)
    rehearsal = Rehearsal(
        scenario,
        order.path,
        seed=order.seed,
        folder=order.folder,
        overrides=order.overrides,
        whole=order.whole,
    )
    rehearsal.run(order.until_ns, None if pulse is None else lambda now: pulse(rehearsal, now))
    return order.folder


def carry_out_all(todo: list[Order], jobs: int, told: Told) -> None:
    """Make all runs on so many processes.

    Raises:
        ValueError: `jobs` is out of range.
    """
    if not 1 <= jobs <= JOBS_MAX:
        raise ValueError(f"expected 1 to {JOBS_MAX} jobs, found {jobs}")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, max(1, len(todo))), mp_context=context) as pool:
        waiting = {pool.submit(carry_out, order): order for order in todo}
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                told(waiting[future], done, len(todo))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def gather(a: Wanted, b: Wanted, seeds: list[int], out: Path) -> list[Pair]:
    """Read both sides of each seed back and pair them up.

    Raises:
        FileNotFoundError, ValueError: as `read_side` and `pair`.
    """

    def side(name: str, wanted: Wanted, seed: int) -> Side:
        return read_side(wanted.path if wanted.is_run else out / f"{name}-{seed}")

    return [pair(side("a", a, seed), side("b", b, seed)) for seed in seeds]
