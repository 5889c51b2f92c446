"""What a sweep was asked for: seeds, a grid of parameters, and the tasks that follow from them.

Decides how seeds and grids are spelled, the order and the key of each task, and what must be the same for a
sweep to be resumed. Leaves out running them (run.py).

Rules: the same plan gives the same tasks in the same order; a task's key names its seed and parameters, so
that results are found again whatever engine, however many jobs, in whatever order they came.
"""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path
from typing import Final

import msgspec

from devicesim.scenario import Scenario
from devicesim.scenario.texts import digest_of
from devicesim.stock import read_texts
from devicesim.sweep.bench import Bench
from devicesim.sweep.task import Setup, Task

PLAN_FILE: Final = "plan.json"
TASKS_MAX: Final = 1_000_000
CELLS_MAX: Final = 1_000
_SEED_MAX: Final = 2**63 - 1
_RANGE: Final = re.compile(r"(\d+)\.\.(\d+)")

Axis = tuple[str, tuple[str, ...]]
"""A path of the scenario and the values that it takes, as text."""


class Cell(msgspec.Struct, frozen=True):
    """One point of the grid: path to value; empty when there is no grid."""

    params: tuple[tuple[str, str], ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        """As ``--set`` takes them."""
        return tuple(f"{path}={value}" for path, value in self.params)

    @property
    def title(self) -> str:
        """For people."""
        return ", ".join(self.overrides) or "all"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides the results of a sweep; kept beside them."""

    file: str
    text: str
    bases: dict[str, str] = {}
    """Texts of all that the scenario extends, by path, as they were when the plan was made."""
    name: str
    seeds: tuple[int, ...]
    overrides: tuple[str, ...] = ()
    grid: tuple[Axis, ...] = ()
    plugins: tuple[str, ...] = ()
    code: str = ""
    """Digest of the program: results of another program are not mixed with these."""

    @property
    def cells(self) -> list[Cell]:
        """The points of the grid, the last axis running fastest; one point when there is none."""
        paths = [path for path, _ in self.grid]
        return [
            Cell(tuple(zip(paths, values, strict=True)))
            for values in itertools.product(*(values for _, values in self.grid))
        ]

    @property
    def setup(self) -> Setup:
        """What workers get."""
        return Setup(file=self.file, text=self.text, bases=self.bases, plugins=self.plugins)

    @property
    def size(self) -> int:
        """How many tasks there are."""
        return len(self.seeds) * len(self.cells)

    @property
    def scenario_digest(self) -> str:
        """Digest of the scenario's text and its bases', as in the record of a run."""
        return digest_of(self.text, self.bases)

    def tasks(self) -> list[Task]:
        """Every task: seed by seed, and for each of them all cells, so that cells fill evenly."""
        cells = self.cells
        return [
            Task(key=key_of(seed, cell), seed=seed, overrides=self.overrides + cell.overrides)
            for seed in self.seeds
            for cell in cells
        ]

    def reproduce(self, seed: int, cell: Cell) -> str:
        """The command that repeats one task."""
        words = ["fleetdrill", "sweep" if self.plugins else "run", self.file]
        words += ["--seeds", f"{seed}..{seed}"] if self.plugins else ["--seed", str(seed)]
        for override in self.overrides + cell.overrides:
            words += ["--set", override]
        for plugin in self.plugins:
            words += ["--plugin", plugin]
        return shlex.join(words)


def key_of(seed: int, cell: Cell) -> str:
    """Name a task."""
    return " ".join([str(seed), *cell.overrides])


def read_seeds(text: str) -> tuple[int, ...]:
    """Read ``200`` (1 to 200), ``100..199``, ``3,7,42`` or a mixture such as ``1..10,42..42``.

    Raises:
        ValueError: it is none of them, has a seed twice, or is too long.
    """
    form = "seeds as a count such as 200, a range such as 1..200, or a list such as 3,7,42"
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1 and parts[0].isdecimal():
        parts = [f"1..{parts[0]}"]
    seeds: list[int] = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None and not part.isdecimal():
            raise ValueError(f"expected {form}, found {text!r}")
        first, last = (int(match[1]), int(match[2])) if match else (int(part), int(part))
        if last < first or last > _SEED_MAX or last - first >= TASKS_MAX:
            raise ValueError(
                f"expected {form}, rising, at most {TASKS_MAX:,} seeds below 2^63, found {text!r}"
            )
        seeds += range(first, last + 1)
    if len(dict.fromkeys(seeds)) != len(seeds):
        raise ValueError(f"expected each seed once, found some twice in {text!r}")
    return tuple(seeds)


def read_axis(text: str) -> Axis:
    """Read ``path=v1,v2``; commas inside brackets or quotes separate nothing.

    Raises:
        ValueError: it is no such thing, or has a value twice.
    """
    path, equals, rest = text.partition("=")
    values = [value.strip() for value in _split(rest)]
    if not equals or not path.strip() or not all(values):
        raise ValueError(
            f"expected --grid path=value,value such as rollouts.0.soak=5m,20m,1h, found {text!r}"
        )
    if len(dict.fromkeys(values)) != len(values):
        raise ValueError(f"expected each value of {path} once, found some twice in {text!r}")
    return path.strip(), tuple(values)


def _split(text: str) -> list[str]:
    """Split at the commas that are outside of brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def make_plan(
    file: Path,
    seeds: tuple[int, ...],
    *,
    overrides: tuple[str, ...] = (),
    grid: tuple[Axis, ...] = (),
    plugins: tuple[str, ...] = (),
    code: str = "",
) -> Plan:
    """Make a plan and insist that each of its scenarios can be run.

    Raises:
        ScenarioError: there is no such file, or a cell's scenario is invalid.
        SourceError: a bundle is missing.
        ValueError: too many tasks, a path twice, or a scenario that runs in real time.
    """
    paths = [path for path, _ in grid]
    if len(dict.fromkeys(paths)) != len(paths):
        raise ValueError(f"expected each path of --grid once, found {', '.join(paths)}")
    text, bases = read_texts(file)
    plan = Plan(
        file=str(file), text=text, bases=bases, name="", seeds=seeds, overrides=overrides, grid=grid,
        plugins=plugins, code=code,
    )  # fmt: skip
    if len(plan.cells) > CELLS_MAX or plan.size > TASKS_MAX:
        raise ValueError(
            f"expected at most {CELLS_MAX:,} points of the grid and {TASKS_MAX:,} runs, "
            f"found {len(plan.cells):,} and {plan.size:,}"
        )
    scenario = check_plan(plan)
    return msgspec.structs.replace(plan, name=scenario.name)


def check_plan(plan: Plan) -> Scenario:
    """Load the scenario of each cell as a worker will; returns the first one.

    Raises:
        ScenarioError: one is invalid.
        SourceError: a bundle is missing.
        ValueError: one runs in real time.
    """
    bench = Bench(msgspec.structs.replace(plan.setup, plugins=()))
    found = []
    for cell in plan.cells:
        task = Task(key="", seed=0, overrides=plan.overrides + cell.overrides)
        scenario = bench.open(task)
        if scenario.clock.mode == "real":
            raise ValueError(
                "expected clock.mode: virtual, found real: only virtual time can be swept"
            )
        bench.stock(scenario)
        found.append(scenario)
    return found[0]


def save_plan(folder: Path, plan: Plan) -> None:
    """Keep a plan."""
    (folder / PLAN_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1))


def load_plan(folder: Path, code: str = "") -> Plan:
    """Read the plan of a sweep.

    Args:
        folder: of the sweep.
        code: digest of the present program; empty does not look.

    Raises:
        FileNotFoundError: no sweep.
        ValueError: it was made by another program, whose results are not ours.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a sweep in {folder}, found no {PLAN_FILE}; make one with `fleetdrill sweep SCENARIO`"
        )
    plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    if code and plan.code != code:
        raise ValueError(
            f"expected the program that began {folder} ({plan.code}), found {code}: its results cannot be "
            "mixed with ours; begin a new sweep"
        )
    return plan
