"""One thread for what takes long: hashing, validation kits, cameras and inferences.

Decides that there is one, in order of asking, that whatever comes of a job is told on the event loop, and
what happens to a job that takes too long. Leaves out the jobs.

Rules: keep-alives never wait for a job; a job that raises ends the host (its supervisor starts it anew);
more than `JOBS_MAX` waiting jobs end it as well, because an agent asks for one thing at a time; after
`close` nothing is told any more. A job with a limit is asked to stop when its time is over, counted from
when it began; one that does not is hung: a thread cannot be killed, so the process has to go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

JOBS_MAX: Final = 64
GRACE_S: Final = 5.0
"""How long a job that was asked to stop may take to do so."""
T = TypeVar("T")


class HungError(RuntimeError):
    """A job did not stop when it was asked to: the process must end, at once."""


class Worker:
    """The thread, and what it was asked.

    Args:
        fail: called on the loop with what a job raised.
        loop: where answers are told.
        grace_s: see `GRACE_S`.
    """

    __slots__ = (
        "_closed",
        "_fail",
        "_grace_s",
        "_loop",
        "_pool",
        "_timer",
        "hung",
        "jobs",
        "stopped",
    )

    def __init__(
        self,
        fail: Callable[[BaseException], None],
        loop: asyncio.AbstractEventLoop,
        grace_s: float = GRACE_S,
    ) -> None:
        self._fail, self._loop, self._grace_s = fail, loop, grace_s
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleetdrill-worker")
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self.jobs = 0
        """Asked for and not answered."""
        self.stopped = 0
        """Jobs that took too long."""
        self.hung = False

    def ask(
        self,
        job: Callable[[], T],
        then: Callable[[T], None],
        limit_s: float = 0.0,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """Run `job` in the thread, and `then` with its result on the loop.

        Args:
            job: what is to be done.
            then: takes what came of it.
            limit_s: how long it may take; 0: as long as it likes.
            stop: asks a job that took longer to stop.

        Raises:
            RuntimeError: too many jobs wait.
        """
        if self.jobs >= JOBS_MAX:
            raise RuntimeError(f"expected at most {JOBS_MAX} jobs at a time, found one more")
        self.jobs += 1

        def done(future: asyncio.Future[T]) -> None:
            self.jobs -= 1
            if limit_s:
                self._disarm()
            if self._closed or future.cancelled():
                return
            error = future.exception()
            if error is None:
                then(future.result())
            else:
                self._fail(error)

        run: Callable[[], T] = job
        if limit_s and stop is not None:
            run = partial(self._timed, job, limit_s, stop)
        self._loop.run_in_executor(self._pool, run).add_done_callback(done)

    def _timed(self, job: Callable[[], T], limit_s: float, stop: Callable[[], None]) -> T:
        """In the thread: the clock starts when the job does."""
        self._loop.call_soon_threadsafe(self._arm, limit_s, self._too_long, stop)
        return job()

    def _arm(self, delay_s: float, rings: Callable[..., None], *arguments: Any) -> None:
        self._disarm()
        if self.jobs and not self._closed:
            self._timer = self._loop.call_later(delay_s, rings, *arguments)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_long(self, stop: Callable[[], None]) -> None:
        self.stopped += 1
        stop()
        self._arm(self._grace_s, self._hangs)

    def _hangs(self) -> None:
        self.hung = True
        self._fail(
            HungError(
                f"expected a job to stop within {self._grace_s} s of being asked to, found one that "
                "did not: the process ends, and its supervisor starts it anew"
            )
        )

    def close(self) -> None:
        """Drop what waits, and wait for the job in hand, unless it hangs."""
        self._closed = True
        self._disarm()
        self._pool.shutdown(wait=not self.hung, cancel_futures=True)
