"""`run --break-at` and `run --watch`: stop a world where it matters and look around; follow one device.

Decides where to stop (an instant, or after the step in which the first check fails) and what is printed. Nothing is
written: this is for looking, on the same luck as the run that is being looked into. Leaves out the state itself
(`report/state.py`) and the words (`report/causes.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from devicesdk.wire.timebase import parse_duration
from devicesim.explain import Again, names_of
from devicesim.rehearse import open_scenario
from devicesim.report.causes import Told, instant, lines, sentence, told
from devicesim.report.state import state_lines
from devicesim.stock import stock_for
from devicesim.world.bands import Lasting
from devicesim.world.causes.book import NOTHING, CauseBook
from devicesim.world.causes.eyes import CausalStage, Eyes
from devicesim.world.causes.inquiry import InForce, why_dark
from devicesim.world.causes.kernel import CausalKernel
from devicesim.world.checks.check import Check
from devicesim.world.drill import Drill
from devicesim.world.watch import Watcher
from devicesim.world.world import one_core, patient_collector, quiet_collector

FIRST_BAD: Final = "first-bad"
CHAIN_LINES: Final = 12
Print = Callable[[str], None]


class _Reached(Exception):
    """The place to stop at."""


class Debugger(Watcher):
    """A world that can be stopped between any two steps.

    Args:
        again: the run to look into.
        echo: prints a line.
        watched: id of the device whose moments are printed as they come; empty: none.

    Raises:
        ValueError: there is no such device.
    """

    def __init__(self, again: Again, echo: Print, watched: str = "") -> None:
        self.book = CauseBook()
        self._kernel = CausalKernel(self.book)
        self.drill: Drill = again.build(self._kernel, CausalStage(self.book))
        world = self.world = self.drill.world
        self._eyes = Eyes(world, self.book)
        self._names = names_of(again, [host.device for host in world.hosts])
        self._lasting = Lasting(world.scenario)
        world.watch.add(self)
        if watched and watched not in world.numbers:
            raise ValueError(f"expected a device of {world.scenario.name}, found {watched!r}")
        self._echo, self._watched, self._seen = echo, world.numbers.get(watched), 0
        self.failed: Check | None = None
        self.culprit = ""
        self._stops = False
        self._kernel.after = self._after

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """Follow what lasts."""
        if phase == "begin":
            self._lasting.begins(verb, devices, now)
        else:
            self._lasting.ends(verb)

    def run(self, until: int, *, first_bad: bool) -> bool:
        """Run to `until`, or to the first failure; returns whether there was one."""
        if first_bad:
            for check in self.drill.checks:
                self._arm(check)
        world = self.world
        end = world.open(until, None)
        with patient_collector(), quiet_collector(), one_core():
            try:
                self._kernel.run(end, world.breathe)
                if first_bad:
                    world.close(end)
            except _Reached:
                world.pool.flush()
        return self.failed is not None

    def _arm(self, check: Check) -> None:
        fail = check.fail

        def failed(now: int, story: str, host: object = None) -> None:
            fail(now, story, host)  # type: ignore[arg-type]
            if self.failed is None:
                self.failed, self._stops = check, True
                self.culprit = str(getattr(host, "device", ""))

        check.fail = failed  # type: ignore[method-assign]

    def _after(self, now: int) -> None:
        del now
        if self._watched is not None:
            self._tell_watched()
        if self._stops:
            raise _Reached

    def _tell_watched(self) -> None:
        """Print what has happened to the watched device in the step that is over."""
        book = self.book
        for node in range(max(self._seen, 0), len(book)):
            moment = book.moment(node)
            if moment is not None and moment.actor == self._watched:
                self._echo(f"{instant(moment.at_ns)}  {sentence(moment, self._names)}")
        self._seen = len(book)

    def show(self, device: str) -> None:
        """Print the state of everything, and what led to the last moment of the device of interest."""
        clear = self.drill.world.heals.clear_since_ns
        in_force = [InForce(*one) for one in self._lasting.now(clear)]
        for line in state_lines(self.drill, in_force, device):
            self._echo(line)
        story = self._story(device)
        if story:
            self._echo("how it came there:")
            for line in lines(story, CHAIN_LINES):
                self._echo(f"  {line}")

    def _story(self, device: str) -> list[Told]:
        index = self.world.numbers.get(device)
        if index is None:
            return told(self.book.chain(self.book.here), self._names)
        chain = self.book.chain(self.book.latest.get(index, NOTHING))
        dark = why_dark(self.book, index, self.world.now)
        nodes = {moment.node: moment for moment in [*chain, *dark]}
        return told([nodes[node] for node in sorted(nodes)], self._names)


def debug(
    file: Path,
    seed: int | None,
    until: str | None,
    overrides: tuple[str, ...],
    break_at: str | None,
    watch: str | None,
    echo: Print,
) -> int:
    """Run to a place, print the state there; returns the exit code: 1 when a check had failed.

    Raises:
        ValueError: real time, or an instant or a device that is none.
    """
    scenario = open_scenario(file, overrides)
    if scenario.clock.mode == "real":
        raise ValueError(
            "expected clock.mode virtual with --break-at and --watch, found real: only virtual time can be stopped"
        )
    first_bad = break_at == FIRST_BAD
    stop = break_at if break_at is not None and not first_bad else until
    end = scenario.clock.duration_ns if stop is None else parse_duration(stop)
    again = Again(
        scenario, file, stock_for(scenario, file), scenario.seed if seed is None else seed
    )
    debugger = Debugger(again, echo, watch or "")
    failed = debugger.run(end, first_bad=first_bad)
    if break_at is not None:
        if first_bad:
            check = debugger.failed
            story = "no check failed" if check is None else f"{check.title}: {check.story()}"
            echo(f"first bad  {story}")
        culprits = debugger.failed.culprits if debugger.failed is not None else {}
        known = [
            name
            for name in (watch or "", debugger.culprit, *culprits)
            if name in debugger.world.numbers
        ]
        debugger.show(known[0] if known else "")
    return int(failed)
