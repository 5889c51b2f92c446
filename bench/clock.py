"""The queue: bare heapq, bare SimPy, our alarms; microseconds of CPU an event."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable

import simpy

from devicesim.world.kernel import Kernel

PENDING = 10_000
EVENTS = 400_000


def timed(work: Callable[[], int]) -> float:
    """CPU microseconds an event; `work` returns how many events it handled."""
    begun = time.process_time()
    done = work()
    assert done >= EVENTS, f"expected {EVENTS} events, found {done}"
    return (time.process_time() - begun) / done * 1e6


def floor() -> int:
    """`heapreplace` of a tuple: what no queue in Python beats."""
    heap = [(i * 37 % 1000, i) for i in range(PENDING)]
    heapq.heapify(heap)
    for _ in range(EVENTS):
        at, who = heap[0]
        heapq.heapreplace(heap, (at + 1000, who))
    return EVENTS


def bare_simpy() -> int:
    """SimPy timeouts with a callback."""
    env = simpy.Environment()
    count = 0

    def again(_: object) -> None:
        nonlocal count
        count += 1
        env.timeout(1000).callbacks.append(again)  # type: ignore[union-attr]

    for i in range(PENDING):
        env.timeout(i * 37 % 1000).callbacks.append(again)  # type: ignore[union-attr]
    while count < EVENTS:
        env.step()
    return count


def simpy_processes() -> int:
    """SimPy processes that sleep."""
    env = simpy.Environment()
    count = 0

    def sleeper(first: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
        nonlocal count
        yield env.timeout(first)
        while True:
            count += 1
            yield env.timeout(1000)

    for i in range(PENDING):
        env.process(sleeper(i * 37 % 1000))
    while count < EVENTS:
        env.step()
    return count


def our_alarms() -> int:
    """Alarms of the world's kernel."""
    kernel = Kernel()

    def start(first: int) -> None:
        def ring(now: int) -> None:
            alarm.arm(now + 1000)

        alarm = kernel.alarm(ring)
        alarm.arm(first)

    for i in range(PENDING):
        start(i * 37 % 1000)
    while kernel.events < EVENTS:
        kernel.step()
    return kernel.events


def report() -> None:
    """Print the table."""
    base = timed(floor)
    print(f"queue, {PENDING:,} pending                         us/event   x floor")
    for name, work in (
        ("floor: heapq.heapreplace of a tuple", None),
        ("SimPy timeout + callback", bare_simpy),
        ("SimPy process", simpy_processes),
        ("our alarms (on SimPy's queue)", our_alarms),
    ):
        us = base if work is None else timed(work)
        print(f"  {name:<42} {us:8.2f} {us / base:8.1f}")
