"""Who does the tasks: this process, worker processes, or Ray.

Decides how tasks are dealt to workers, and what a worker's death, silence or refusal means. Leaves out what a
task is worth (run.py, the shrinker) and how a worker is started (processes.py, on_ray.py).

Rules: a worker has one task at a time, so a death is the death of exactly that task and the others go on; a
worker that is silent for longer than `task_s_max` is ended; one that has done `worker_tasks_max` tasks is
replaced, which bounds whatever a library of others may leak. Results come in the order in which they
are done: whoever needs an order sorts by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Final, Protocol, Self

import msgspec

from devicesim.guarded import GivenUp
from devicesim.sweep.bench import Bench, PluginError
from devicesim.sweep.task import Answer, Refused, Result, Setup, Task, lost

ENGINES: Final = ("processes", "ray", "inline")
TASK_S_MAX: Final = 600.0
"""A run that takes longer than this many seconds is ended and counts as broken."""
WORKER_TASKS_MAX: Final = 250
DEATHS_IN_A_ROW_MAX: Final = 20
"""Workers that may die one after the other without one result: past it something else is wrong."""


class HandLost(Exception):
    """A worker died; says how."""


class EngineError(GivenUp):
    """The engine as a whole cannot go on."""


class Hand(Protocol):
    """One worker."""

    def give(self, task: Task) -> None:
        """Begin a task."""

    def answer(self) -> Answer:
        """What it says, which `Crew.ready` has seen coming.

        Raises:
            HandLost: it died.
        """

    def dismiss(self) -> None:
        """End it, whatever it does."""


class Crew(Protocol):
    """Where workers come from."""

    def hire(self) -> Hand:
        """Start one; it may still be warming up when it gets its first task."""

    def ready(self, hands: list[Hand], wait_s: float) -> list[Hand]:
        """Those of `hands` that have something to say, after at most `wait_s`."""

    def close(self) -> None:
        """Give back what the crew as a whole holds."""


class Engine(Protocol):
    """Does tasks."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Do tasks and hand over their results as they come; may be left before its end.

        Raises:
            PluginError: a worker cannot begin.
            EngineError: workers die whatever they are given.
        """

    def close(self) -> None:
        """End all workers."""

    def __enter__(self) -> Self:
        """The engine itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""


class InlineEngine:
    """Does tasks in this process, one after the other; for debuggers, and where plugins may stay.

    Args:
        setup: what all tasks share; its plugins are loaded into *this* process.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup, self._bench = setup, None

    _bench: Bench | None

    def run(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Do tasks in their order."""
        if self._bench is None:
            self._bench = Bench(self._setup)
        for task in tasks:
            yield self._bench.do(task)

    def close(self) -> None:
        """Nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Job(msgspec.Struct):
    """What a worker has in hand."""

    task: Task
    round: int
    began_s: float


class CrewEngine:
    """Deals tasks to workers.

    Args:
        crew: where they come from.
        jobs: how many at a time.
        task_s_max: longest silence of a worker with a task, seconds of real time.
        worker_tasks_max: tasks after which a worker is replaced.
        clock_s: seconds that never go back.
    """

    def __init__(
        self,
        crew: Crew,
        jobs: int,
        *,
        task_s_max: float = TASK_S_MAX,
        worker_tasks_max: int = WORKER_TASKS_MAX,
        clock_s: Callable[[], float] = perf_counter,
    ) -> None:
        if jobs < 1:
            raise ValueError(f"expected at least 1 job, found {jobs}")
        self._crew, self._jobs, self._clock_s = crew, jobs, clock_s
        self._task_s_max, self._worker_tasks_max = task_s_max, worker_tasks_max
        self._idle: list[Hand] = []
        self._busy: dict[Hand, _Job] = {}
        self._done: dict[Hand, int] = {}
        self._round = self._deaths = 0

    def run(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Do tasks; what is under way when the caller leaves is finished and thrown away."""
        self._round += 1
        left = iter(tasks)
        more = True
        while True:
            while more and len(self._busy) < self._jobs:
                task = next(left, None)
                more = task is not None
                if task is not None:
                    self._deal(task)
            if not more and not any(job.round == self._round for job in self._busy.values()):
                return
            yield from self._hear()

    def _deal(self, task: Task) -> None:
        hand = self._idle.pop() if self._idle else self._crew.hire()
        self._busy[hand] = _Job(task, self._round, self._clock_s())
        with suppress(HandLost):  # it will be heard of at once, by its silence
            hand.give(task)

    def _hear(self) -> list[Result]:
        soonest = min(job.began_s for job in self._busy.values()) + self._task_s_max
        wait_s = max(0.0, soonest - self._clock_s())
        out = []
        for hand in self._crew.ready(list(self._busy), wait_s):
            job = self._busy.pop(hand)
            result = self._take(hand, job)
            if job.round == self._round:
                out.append(result)
        return out + self._end_the_silent()

    def _take(self, hand: Hand, job: _Job) -> Result:
        try:
            answer = hand.answer()
        except HandLost as why:
            self._forget(hand)
            self._deaths += 1
            if self._deaths >= DEATHS_IN_A_ROW_MAX:
                raise EngineError(
                    f"expected workers that live, found {self._deaths} dead in a row, the last one {why}: "
                    "is there memory for one world in each? try fewer --jobs or a smaller scale"
                ) from why
            return lost(job.task, "worker died", f"expected a result, found that the worker {why}")
        self._deaths = 0
        if isinstance(answer, Refused):
            self._forget(hand)
            raise PluginError(answer.why)
        self._done[hand] = self._done.get(hand, 0) + 1
        if self._done[hand] >= self._worker_tasks_max:
            self._forget(hand)
        else:
            self._idle.append(hand)
        return answer

    def _end_the_silent(self) -> list[Result]:
        now = self._clock_s()
        late = [h for h, job in self._busy.items() if now - job.began_s >= self._task_s_max]
        out = []
        for hand in late:
            job = self._busy.pop(hand)
            self._forget(hand)
            if job.round == self._round:
                story = f"expected a result within {self._task_s_max:g} s of real time, found none"
                out.append(lost(job.task, "took too long", story))
        return out

    def _forget(self, hand: Hand) -> None:
        self._done.pop(hand, None)
        hand.dismiss()

    def close(self) -> None:
        """End all workers, at once."""
        for hand in (*self._idle, *self._busy):
            hand.dismiss()
        self._idle.clear()
        self._busy.clear()
        self._crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_engine(name: str, setup: Setup, jobs: int, *, task_s_max: float = TASK_S_MAX) -> Engine:
    """Make the engine of a name.

    Args:
        name: one of `ENGINES`.
        setup: what all tasks share.
        jobs: workers at a time; inline has one.
        task_s_max: longest that one task may take, seconds; inline does not look.

    Raises:
        ValueError: no such engine, or no job.
        ModuleNotFoundError: Ray is not installed; says how to install it.
    """
    if name == "inline":
        return InlineEngine(setup)
    if name == "processes":
        from devicesim.sweep.processes import ProcessCrew

        return CrewEngine(ProcessCrew(setup), jobs, task_s_max=task_s_max)
    if name == "ray":
        from devicesim.sweep.on_ray import RayCrew

        return CrewEngine(RayCrew(setup, jobs), jobs, task_s_max=task_s_max)
    raise ValueError(f"expected an engine of {', '.join(ENGINES)}, found {name!r}")
