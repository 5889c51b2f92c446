"""The tables: connections, goodput of chunks, a flag to everyone, ingest of telemetry.

Those of update.py have the real gateway and real agents; each here runs the lean endpoint and mosquitto's C clients in turn, on the same broker, and prints a ratio;
each asserts that every message arrived. Machines are noisy: trust the ratios.
"""

from __future__ import annotations

import statistics

from bench.live import update
from bench.live.drivers import (
    LEAN,
    PAHO,
    Load,
    build_c,
    load_average,
    mosquitto,
    raise_descriptor_limit,
    transfer,
)

CONNECTIONS = 5_000
KB_MAX = 12.0
DEVICES = 200
CHUNKS = 64
CHUNK_BYTES = 16 * 1024
GOODPUT_RATIO_MIN = 0.5
ROUNDS = 3
FLAG_ROUNDS = 5
FLAG_S_MAX = 2.0
WINDOWS = 40_000
WINDOW_BYTES = 500
INGEST_RATIO_MIN = 0.3


def connections(port: int, kinds: dict[str, list[str]], count: int = CONNECTIONS) -> None:
    """Connections of one process, each with a will and a session that is kept."""
    print(f"connections, {count} of one process, will and kept session")
    print(f"  {'':6}{'KB each':>10}{'connects/s':>12}{'CPU us each':>13}")
    for name, command in kinds.items():
        with Load(command, "idle", port, count) as load:
            took, grown_kb = load.hear("ready")
            cpu_us = load.cpu_s() / count * 1e6
            print(f"  {name:6}{grown_kb / count:10.1f}{count / took:12,.0f}{cpu_us:13.0f}")
            load.go()
        if name == "lean":
            each_kb = grown_kb / count
            assert each_kb <= KB_MAX, f"expected {KB_MAX} KB a connection at most, found {each_kb}"


def goodput(port: int, kinds: dict[str, list[str]]) -> None:
    """An update of 1 MiB in chunks of 16 KiB, QoS 0, from one publisher to each of 200 devices."""
    size = DEVICES * CHUNKS * CHUNK_BYTES
    print(f"goodput, {CHUNKS} x {CHUNK_BYTES} bytes to each of {DEVICES}, one publisher, QoS 0")
    best: dict[str, float] = {}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, command in kinds.items():
            took = transfer(port, command, DEVICES, CHUNKS, CHUNK_BYTES)
            rates[name].append(size / took / 1e6)
    for name, each in rates.items():
        best[name] = statistics.median(each)
        print(f"  {name:6}{best[name]:10.0f} MB/s {best[name] * 1e6 / CHUNK_BYTES:10,.0f} chunks/s")
    _ratio(best, GOODPUT_RATIO_MIN)


def flag(port: int, kinds: dict[str, list[str]], count: int = CONNECTIONS) -> None:
    """One message to everybody, QoS 1: when it reached half of them, and the last."""
    print(f"flag to {count} subscribers of one process, QoS 1, median of {FLAG_ROUNDS}")
    lasts: dict[str, float] = {}
    for name, command in kinds.items():
        halves, ends = [], []
        with Load(command, "flag", port, count, "fd/bench/f/all", FLAG_ROUNDS) as receivers:
            receivers.hear("ready")
            for _ in range(FLAG_ROUNDS):
                with Load(command, "send", port, 1, "fd/bench/f/all", 1, 200, 1) as sender:
                    sender.hear("ready")
                    sender.go()
                    sender.hear("done")
                half, last, received = receivers.hear("flag")
                assert received == count, f"expected {count} to get the flag, found {received}"
                halves.append(half)
                ends.append(last)
        lasts[name] = 1 / statistics.median(ends)
        worst = max(ends)
        print(
            f"  {name:6} p50 {statistics.median(halves) * 1e3:6.0f} ms   "
            f"last {statistics.median(ends) * 1e3:6.0f} ms   worst {worst * 1e3:6.0f} ms"
        )
        assert worst < FLAG_S_MAX, f"expected the last to have it in {FLAG_S_MAX} s, found {worst}"
    _ratio(lasts, 0.0)


def ingest(port: int, kinds: dict[str, list[str]], generator: list[str]) -> None:
    """Telemetry of 500 bytes, QoS 1, into one consumer; lean acknowledges by hand."""
    print(f"ingest of {WINDOWS} x {WINDOW_BYTES} bytes, QoS 1, one consumer")
    best: dict[str, float] = {}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, command in kinds.items():
            runs[name].append(_consume(port, command, generator))
    for name, each in runs.items():
        best[name] = WINDOWS / statistics.median(took for took, _ in each)
        cpu_us = statistics.median(cpu for _, cpu in each) / WINDOWS * 1e6
        print(f"  {name:6}{best[name]:10,.0f} messages/s{cpu_us:8.1f} CPU us each")
    _ratio(best, INGEST_RATIO_MIN)


def _consume(port: int, command: list[str], generator: list[str]) -> tuple[float, float]:
    """Seconds, and CPU seconds of the consumer."""
    topic = "fd/bench/d/%d/tel"
    with (
        Load(command, "recv", port, 1, "fd/bench/d/+/tel", 1, WINDOWS) as consumer,
        Load(generator, "send", port, DEVICES, topic, 1, WINDOW_BYTES, WINDOWS) as sender,
    ):
        consumer.hear("ready")
        sender.hear("ready")
        before = consumer.cpu_s()
        sender.go()
        begun, _ = sender.hear("done")
        _, last_at, received = consumer.hear("done")
        spent = consumer.cpu_s() - before
    assert received == WINDOWS, f"expected {WINDOWS} windows, found {received}"
    return last_at - begun, spent


def _ratio(rates: dict[str, float], at_least: float) -> None:
    if "C" not in rates:
        return
    ratio = rates["lean"] / rates["C"]
    print(f"  lean / C{ratio:8.2f}" + (f"   (bar {at_least})" if at_least else ""))
    assert ratio >= at_least, f"expected at least {at_least} of the C clients, found {ratio:.2f}"


def report() -> None:
    """Every table, in one run."""
    print(f"a real mosquitto; load {load_average()}")
    limit = raise_descriptor_limit()
    native = build_c()
    kinds = {"lean": LEAN} | ({"C": native} if native else {})
    count = min(CONNECTIONS, limit - 200, *((limit // 3 - 100,) if native else ()))
    with mosquitto() as port:
        connections(port, {"lean": LEAN, "paho": PAHO} | kinds, count)
    update.connections(count)
    update.goodput(native)
    with mosquitto() as port:
        goodput(port, kinds)
        flag(port, kinds, count)
    # The generator is not paced by the consumer: what piles up must fit the queue.
    with mosquitto(queued=2 * WINDOWS) as port:
        ingest(port, kinds, native or LEAN)
