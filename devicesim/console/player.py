"""Plays a run: to an instant that somebody asks for, or on and on at a speed; and lets people look meanwhile.

Decides in which thread the world lives, when it runs, and when somebody looks at it. Leaves out the world (take.py) and what is
asked of it (runtime.py, routes.py).

Theory of operation. The world belongs to one thread. It goes towards a *goal*, an instant of the run; between two batches of
events, and all the time while the goal is reached, it answers whoever asked to look, so that what is answered is the state
between two events. A goal that lies behind makes a new take, from the beginning: determinism makes that the same run. Where
the run itself goes on still, no goal lies past what it has come to.

Rules: one world at a time; at most `LOOKS_MAX` wait to look, the next is refused; an error in the world ends the player, is
told to all who ask, and by `Info.why`.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from devicesdk.aio.clock import Clock
from devicesdk.wire.timebase import MS, SECOND
from devicesim.console.memory import Memory
from devicesim.console.past import Past, Point
from devicesim.console.runs import Growth, Kept, Run
from devicesim.console.take import Take
from devicesim.console.tape import Tape
from devicesim.large_pages import LargePages
from devicesim.world.world import GARBAGE_THRESHOLD, one_core
from gateway.runtime.life import BusyError, NotRunningError

T = TypeVar("T")

LOOKS_MAX: Final = 1_000
SPEED_MAX: Final = 100_000.0
TICK_S: Final = 0.04
"""Between two steps while it plays."""
IDLE_S: Final = 0.5
HERE: Final = -1
"""The goal of who wants to stay where the world is, which its own thread alone knows."""
STEP_S_MAX: Final = 0.25
"""A machine that was busy with something else does not make the world jump."""


class Info(msgspec.Struct, frozen=True):
    """What the player does. Instants are UTC, ms."""

    state: str
    """preparing, seeking, playing, paused or broken."""
    start_ms: int
    now_ms: int
    goal_ms: int
    end_ms: int
    reach_ms: int
    """How far the run has come that is looked at; its end, if it has ended."""
    following: bool
    """Whether the goal is always where the run has come to."""
    speed: float
    finished: bool
    alive: bool
    """Whether somebody makes the run still, where it has not ended."""
    verdict: str
    digest: str
    """Of the run; empty: not known."""
    same: bool | None
    """Whether this take had the run's digest at its end; None: it has not been there."""
    takes: int
    why: str


class _Turned(Exception):
    """Somebody wants something else of the world than to run on."""


class Player:
    """Plays one run in a thread of its own.

    Args:
        run: which.
        clock: real time.
        at_ns: where to go first; None: to its end.
    """

    def __init__(self, run: Run, clock: Clock, at_ns: int | None = None) -> None:
        self.run, self._clock, self._growth = run, clock, Growth(run)
        self._past, self.tape, self.memory = Past(run.end_ns), Tape(), Memory(run.start_ms)
        self._looks: deque[tuple[Callable[[Take], Any], asyncio.Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._over = self._playing = False
        self._goal, self._following = min(at_ns or 0, run.end_ns), at_ns is None
        self._speed, self._last = 60.0, clock.now()
        self._take: Take | None = None
        self._takes, self._why = 0, ""
        self._same: bool | None = None
        self._preparing = True
        self._now = 0
        self._pages = LargePages.of_this_process()
        self._thread = threading.Thread(target=self._live, name="fleetdrill-player", daemon=True)

    # -- what others ask; from any thread -------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; whoever waits is told."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()
        self.tape.close()

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return not (self._over or self._why)

    @property
    def take(self) -> Take | None:
        """What is played; None while it is made. Only its plain counters may be read from another thread."""
        return self._take

    def look(self, what: Callable[[Take], T]) -> asyncio.Future[T]:
        """Look at the world between two events; from the loop's thread.

        Raises:
            NotRunningError: the player has ended; says why.
            BusyError: `LOOKS_MAX` wait already.
        """
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._changed:
            if not self.running:
                raise NotRunningError(
                    self._why or "expected a rehearsal that is open, found it closed"
                )
            if len(self._looks) >= LOOKS_MAX:
                raise BusyError(
                    f"{LOOKS_MAX} questions wait to be answered already: try again later"
                )
            self._looks.append((what, found))
            self._changed.notify()
        return found

    def go(self, at_ns: int) -> None:
        """Go to an instant and stay there."""
        with self._changed:
            self._goal = max(0, min(at_ns, self._growth.reach_ns))
            self._following = self._playing = False
            self._changed.notify()

    def follow(self) -> None:
        """Go where the run has come to, or to its end, and on with it."""
        with self._changed:
            self._following, self._playing = True, False
            self._changed.notify()

    def play(self, speed: float) -> None:
        """Go on from where it is, so many virtual seconds for each real one."""
        with self._changed:
            self._speed, self._playing, self._following = speed, True, False
            self._goal, self._last = HERE, self._clock.now()
            self._changed.notify()

    def pause(self) -> None:
        """Stay where it is."""
        with self._changed:
            self._playing = self._following = False
            self._goal = HERE
            self._changed.notify()

    @property
    def kept(self) -> Kept | None:
        """The run's record; None: it has not ended."""
        return self._growth.kept

    @property
    def devices(self) -> int:
        """How many there are; 0: not known yet."""
        take, kept = self._take, self._growth.kept
        return len(take.world.hosts) if take is not None else 0 if kept is None else kept.devices

    def past(self) -> list[Point]:
        """The fleet by time, up to now."""
        return self._past.until(self.run.start_ms + self._now // MS)

    def info(self) -> Info:
        """What it does."""
        start, growth = self.run.start_ms, self._growth
        kept, goal = growth.kept, self._wanted()
        goal = self._now if goal == HERE else goal
        return Info(
            state=self._state(goal),
            start_ms=start,
            now_ms=start + self._now // MS,
            goal_ms=start + goal // MS,
            end_ms=start + self.run.end_ns // MS,
            reach_ms=start + growth.reach_ns // MS,
            following=self._following,
            speed=self._speed,
            finished=kept is not None,
            alive=growth.alive,
            verdict="" if kept is None else kept.verdict,
            digest="" if kept is None else kept.trace_digest,
            same=self._same,
            takes=self._takes,
            why=self._why,
        )

    def _state(self, goal: int) -> str:
        if self._why:
            return "broken"
        if self._preparing:
            return "preparing"
        if self._playing:
            return "playing"
        if self._same is None and self._growth.kept is not None and goal == self.run.end_ns:
            return "seeking"  # there is yet to be said whether this was the same run
        return "paused" if goal == self._now else "seeking"

    # -- the thread ---------------------------------------------------------------------------------

    def _live(self) -> None:
        thresholds = gc.get_threshold()
        gc.set_threshold(*GARBAGE_THRESHOLD)
        try:
            with one_core():
                while not self._over:
                    self._turn()
        except Exception as error:  # noqa: BLE001 - told to whoever asks: nobody waits for this thread
            self._why = f"the rehearsal cannot be played: {error!r}"
        finally:
            gc.unfreeze()
            gc.set_threshold(*thresholds)
            self._end()

    def _turn(self) -> None:
        self._growth.look()
        self._advance()
        goal = self._wanted()
        if self._take is None or HERE < goal < self._take.now:
            self._begin()
        take = self._take
        assert take is not None
        if goal == HERE:
            goal = self._stay(take.now)
        if take.now < goal:
            with suppress(_Turned):
                take.run(goal, self._breathe)
        self._arrived(take)
        self._answer(take)
        self._rest(take, goal)

    def _advance(self) -> None:
        """Move the goal of a run that is played."""
        now = self._clock.now()
        with self._changed:
            passed, self._last = min(now - self._last, int(STEP_S_MAX * SECOND)), now
            if not self._playing or self._goal == HERE:
                return
            self._goal = min(self._now + int(passed * self._speed), self._growth.reach_ns)
            if self._growth.kept is not None and self._goal == self.run.end_ns:
                self._playing = False

    def _begin(self) -> None:
        """Make a new take; the one before goes first, so that there is never more than one."""
        self._preparing, self._take, self._now, self._same = True, None, 0, None
        gc.unfreeze()
        if self._takes:
            gc.collect()
        self._take = Take(self.run, self.tape, self._past, self.memory)
        gc.freeze()  # nobody walks a whole fleet that is alive anyway
        self._takes += 1
        self._preparing = False

    def _breathe(self, now: int) -> None:
        """Between two batches of events."""
        self._now = now
        take = self._take
        assert take is not None
        self._pages.look()
        self._answer(take)
        if self._over or self._wanted() < now:
            raise _Turned

    def _wanted(self) -> int:
        """The goal as it is now."""
        return self._growth.reach_ns if self._following else self._goal

    def _stay(self, now: int) -> int:
        with self._changed:
            if self._goal == HERE:
                self._goal = now
        return now

    def _arrived(self, take: Take) -> None:
        self._now = take.now
        kept = self._growth.kept
        if kept is not None and take.now == take.end_ns and not take.digest:
            self._same = take.close() == kept.trace_digest

    def _answer(self, take: Take) -> None:
        take.count()
        while self._looks:
            what, found = self._looks.popleft()
            try:
                answer, error = what(take), None
            except Exception as wrong:  # noqa: BLE001 - the asker's to handle
                answer, error = None, wrong
            _tell(found, answer, error)

    def _rest(self, take: Take, goal: int) -> None:
        """Wait until there is something to do."""
        with self._changed:
            if self._looks or self._over:
                return
            if self._playing:
                self._changed.wait(TICK_S)
            elif self._wanted() == goal == take.now:
                self._changed.wait(IDLE_S)

    def _end(self) -> None:
        self._take = None
        with self._changed:
            looks, self._looks = self._looks, deque()
        gone = self._why or "the rehearsal was closed before it had answered"
        for _, found in looks:
            _tell(found, None, NotRunningError(gone))


def _tell(found: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
    """Answer in the thread of whoever asked."""

    def tell() -> None:
        if found.done():
            return
        if error is None:
            found.set_result(answer)
        else:
            found.set_exception(error)

    try:
        found.get_loop().call_soon_threadsafe(tell)
    except RuntimeError:  # the loop has ended: nobody asks any more
        return
