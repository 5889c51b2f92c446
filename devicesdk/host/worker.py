"""One thread for what takes long: hashing, validation kits, cameras and inferences.

Decides that there is one, in order of asking, and that whatever comes of a job is told on the event
loop. Leaves out the jobs.

Rules: keep-alives never wait for a job; a job that raises ends the host (its supervisor starts it
anew); more than `JOBS_MAX` waiting jobs end it as well, because an agent asks for one thing at a time;
after `close` nothing is told any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

JOBS_MAX: Final = 64
T = TypeVar("T")


class Worker:
    """The thread, and what it was asked.

    Args:
        fail: called on the loop with what a job raised.
        loop: where answers are told.
    """

    __slots__ = ("_closed", "_fail", "_loop", "_pool", "jobs")

    def __init__(
        self, fail: Callable[[BaseException], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._fail, self._loop = fail, loop
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleetdrill-worker")
        self._closed = False
        self.jobs = 0
        """Asked for and not answered."""

    def ask(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Run `job` in the thread, and `then` with its result on the loop.

        Raises:
            RuntimeError: too many jobs wait.
        """
        if self.jobs >= JOBS_MAX:
            raise RuntimeError(f"expected at most {JOBS_MAX} jobs at a time, found one more")
        self.jobs += 1

        def done(future: asyncio.Future[T]) -> None:
            self.jobs -= 1
            if self._closed or future.cancelled():
                return
            error = future.exception()
            if error is None:
                then(future.result())
            else:
                self._fail(error)

        self._loop.run_in_executor(self._pool, job).add_done_callback(done)

    def close(self) -> None:
        """Drop what waits, and wait for the job in hand."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
