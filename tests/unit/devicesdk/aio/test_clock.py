"""A stopwatch of real time, where the event loop's own clock stands still."""

import time

import uvloop

from devicesdk.aio.clock import stopwatch


def test_a_stopwatch_runs_within_a_turn_of_a_loop():
    async def spun():
        elapsed_us, until_ns = stopwatch(), time.monotonic_ns() + 300_000
        while time.monotonic_ns() < until_ns:
            pass
        return elapsed_us()

    assert uvloop.run(spun()) >= 300
