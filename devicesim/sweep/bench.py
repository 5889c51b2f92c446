"""One worker's bench: runs tasks one after the other, a world at a time.

Decides what is kept between tasks (profiles, links, bundle sources and recordings, which no world changes) and how a run
that blows up is told. Leaves out who is the worker (engines.py) and where results go.

Rules: a world is gone, cycles and all, before the next one is built; an exception is a result like any other,
named by its type and the function that raised it, so that it can be shrunk, too.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from devicesim.recordings.stocking import load_recordings, load_traces
from devicesim.scenario import load
from devicesim.scenario.checks import SOMETIMES
from devicesim.scenario.texts import reader
from devicesim.stock import load_policies, load_profiles, load_sources, recording_folders
from devicesim.sweep.outcomes import outcomes_of
from devicesim.sweep.task import (
    BROKEN,
    BROKEN_KIND,
    FAILED,
    PASSED,
    STORY_CHARS_MAX,
    Failing,
    Keep,
    Result,
    Setup,
    Task,
)
from devicesim.world.assemble import Stock, assemble
from devicesim.world.drill import Drill
from devicesim.world.world import patient_collector

if TYPE_CHECKING:
    from devicesim.models.link_trace import Trace
    from devicesim.recordings.intervals import Recording
    from devicesim.scenario import Scenario
    from devicesim.world.checks.check import Check

SOURCES_MAX: Final = 32
"""Bundle sources, recordings and link traces kept between tasks; past it all are read again."""
_OURS: Final = ("devicesim", "devicesdk", "gateway")


class PluginError(ValueError):
    """A plugin that cannot be imported, or has no such function."""


class Bench:
    """Runs tasks.

    Args:
        setup: what all of them share; its plugins are imported here.

    Raises:
        PluginError: a plugin is not there.
        FileNotFoundError: there is no folder of profiles.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._file = Path(setup.file)
        for plugin in setup.plugins:
            plug_in(plugin)
        self._profiles, self._links = load_profiles(self._file)
        self._sources: dict[Any, Any] = {}
        self._recordings: dict[str, Recording] = {}
        self._traces: dict[str, Trace] = {}

    def open(self, task: Task) -> Scenario:
        """The scenario of a task.

        Raises:
            ScenarioError: it is invalid.
        """
        text = self.setup.text if task.text is None else task.text
        file = str(self._file)
        return load(
            file, task.overrides, reader(self.setup.bases | {file: text}),
            profiles=self._profiles, links=self._links.links,
        )  # fmt: skip

    def do(self, task: Task) -> Result:
        """Run one task; whatever is raised becomes its result."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            found = self._rehearse(task) if task.keep is None else _keep(task, task.keep)
        except Exception as error:  # noqa: BLE001 - a sweep goes on; the result says what happened
            found = Result(key=task.key, seed=task.seed, verdict=BROKEN, failing=(blamed(error),))
        gc.collect()
        spent = time.process_time() - cpu
        return _timed(found, spent, time.perf_counter() - wall)

    def _rehearse(self, task: Task) -> Result:
        scenario = self.open(task)
        if self.setup.watch_all:
            every = scenario.checks.model_copy(update={"sometimes": tuple(SOMETIMES)})
            scenario = scenario.model_copy(update={"checks": every})
        with patient_collector():
            world = assemble(scenario, self.stock(scenario), seed=task.seed)
            drill = Drill(world)
        digest = world.run()
        failing = tuple(
            _failing(check) for check in drill.checks
            if check.verdict is False and check.kind != "sometimes"
        )  # fmt: skip
        seen = {c.name: c.judged for c in drill.checks if c.kind == "sometimes" and c.judged}
        return Result(
            key=task.key, seed=task.seed, verdict=FAILED if failing else PASSED, digest=digest,
            failing=failing, outcomes=outcomes_of(drill), seen=seen,
        )  # fmt: skip

    def stock(self, scenario: Scenario) -> Stock:
        """Everything from files that a scenario needs.

        Raises:
            SourceError: a bundle is missing or altered.
            RecordingError: a recording or a link trace is missing, or none.
        """
        names = scenario.model_dump_json(include={"bundles"})
        if names not in self._sources:
            if len(self._sources) >= SOURCES_MAX:
                self._sources.clear()
            self._sources[names] = load_sources(scenario, self._file)
        policies = load_policies(scenario, self._file)
        for kept in (self._recordings, self._traces):
            if len(kept) >= SOURCES_MAX:
                kept.clear()
        folders = recording_folders(self._file)
        return Stock(
            self._profiles, self._links, self._sources[names], policies,
            load_recordings(scenario, folders, self._recordings),
            load_traces(scenario, folders, self._traces),
        )  # fmt: skip


def plug_in(plugin: str) -> None:
    """Import ``module``, or import it and call its function for ``module:function``.

    Raises:
        PluginError: it is not there.
    """
    name, _, function = plugin.partition(":")
    here = os.getcwd()  # noqa: PTH109 - a path as sys.path has them
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(name)
        for part in function.split(".") if function else ():
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(
            f"expected a plugin module or module:function that can be imported from {here} or PYTHONPATH, "
            f"found {plugin!r}: {error}"
        ) from error
    if function:
        found()


def blamed(error: Exception) -> Failing:
    """An exception as a failure: named by its type and the innermost function of ours."""
    where = _innermost(error.__traceback__)
    story = "".join(traceback.format_exception_only(error)).strip()
    return Failing(f"{type(error).__name__} in {where}", BROKEN_KIND, None, story[:STORY_CHARS_MAX])


def _innermost(trace: TracebackType | None) -> str:
    where = "?"
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "?")
        if module.partition(".")[0] in _OURS:
            where = f"{module}.{trace.tb_frame.f_code.co_name}"
        trace = trace.tb_next
    return where


def _keep(task: Task, keep: Keep) -> Result:
    from devicesim.rehearse import rehearse_into  # pages and tables, which a sweep does without

    record = rehearse_into(
        Path(keep.folder), Path(keep.file), task.overrides,
        seed=task.seed, whole=keep.whole, until=keep.until_ns,
    )  # fmt: skip
    verdict: Final = FAILED if record.verdict == "failed" else PASSED
    return Result(key=task.key, seed=task.seed, verdict=verdict, digest=record.trace_digest)


def _failing(check: Check) -> Failing:
    row, first = check.row(), check.first
    device = first.device if first is not None else ""
    return Failing(row.name, row.kind, row.at_s, row.story[:STORY_CHARS_MAX], device)


def _timed(result: Result, cpu_s: float, wall_s: float) -> Result:
    import msgspec

    return msgspec.structs.replace(result, cpu_s=round(cpu_s, 4), wall_s=round(wall_s, 4))


__all__ = ["Bench", "PluginError", "blamed", "plug_in"]
