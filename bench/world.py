"""The world: device-hours per CPU second at three sizes, per-event cost, routed messages, memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from devicesdk.wire.timebase import HOUR
from devicesim.rehearse import Rehearsal, open_scenario
from devicesim.world.broker.broker import Broker
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.broker.packets import Connect, Message
from devicesim.world.ledger import Ledger

SCENARIO = Path(__file__).parents[1] / "scenarios" / "att-2024.yaml"
SIZES = ((1_000, 24), (10_000, 24), (50_000, 4))
"""Devices and hours: the larger fleet runs for a part of the day, the outage included."""


class _Sink:
    """An outlet that takes everything."""

    def __init__(self) -> None:
        self.seen = 0

    def accepted(self, now: int, connack: object) -> None:
        """CONNACK."""

    def deliver(self, now: int, packet_id: int, message: Message, dup: bool) -> None:  # noqa: ARG002
        """A copy."""
        self.seen += 1

    def closed(self, now: int, reason: object) -> None:
        """The end."""


def routed(clients: int = 10_000, messages: int = 200_000) -> float:
    """QoS 1 publish to one of many sessions and its acknowledgement; messages a CPU second."""
    broker, sink = Broker(Ledger(), BrokerLimits()), _Sink()
    for i in range(clients):
        broker.connect(0, Connect(client_id=f"d{i}", session_expiry_ns=HOUR), sink)
        broker.subscribe(0, f"d{i}", [(f"fd/main/d/d{i}/want", 1)])
    copies = [Message(f"fd/main/d/d{i}/want", b"x" * 100, kind="want") for i in range(clients)]
    next_id = [1] * clients
    begun = time.process_time()
    for n in range(messages):
        who = n % clients
        broker.publish(0, "d0", copies[who])
        broker.puback(0, f"d{who}", next_id[who])
        next_id[who] += 1
    spent = time.process_time() - begun
    assert sink.seen == messages, f"expected {messages} copies delivered, found {sink.seen}"
    return messages / spent


def rehearse(devices: int, hours: int) -> tuple[float, float, float, float]:
    """(device-hours per CPU second, us an event, events a device-hour, MiB) with checks and trace."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scenario = open_scenario(SCENARIO, (f"scale={devices / 10_000}",))
    rehearsal = Rehearsal(scenario, SCENARIO)
    record = rehearsal.run(hours * HOUR)
    assert record.devices == devices
    assert record.inferences >= 4 * devices * hours * 0.9, "expected about four inferences an hour"
    bad = [check.name for check in record.checks if check.kind == "always" and check.held is False]
    assert not bad, f"expected every always-check to hold, found {bad}"
    device_hours = devices * hours
    memory = max(0.0, record.memory_mib - before)
    return (
        device_hours / record.cpu_s,
        record.cpu_s / record.events * 1e6,
        record.events / device_hours,
        memory,
    )


def report() -> None:
    """Print the tables."""
    print("broker in memory, 10,000 sessions                  messages/s")
    print(f"  {'QoS 1 publish to one session, acknowledged':<46} {routed():10,.0f}")
    print()
    print(
        "world, att-2024, all checks and the trace on   device-h/CPU s   us/event   events/device-h  KiB/device"
    )
    first = 0.0
    for devices, hours in SIZES:
        rate, us, events, memory = rehearse(devices, hours)
        first = first or rate
        label = f"{devices:,} devices x {hours} h"
        print(
            f"  {label:<44} {rate:10,.0f} ({rate / first:4.2f} x the first) {us:8.1f} {events:12.1f}"
            f" {memory * 1024 / devices:10.1f}"
        )
