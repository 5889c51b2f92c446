"""A gateway that dies between any two effects loses nothing that it acknowledged.

One story (a poisoned rollout that halts and reverts, a flag, a kill, then a good rollout) is told
once for each point at which the process can die: before a batch is durable, and before and after each
of its publishes. What was not durable is forgotten, what was not published is lost, inbound messages
that were not acknowledged come again, and an operator without an answer asks again.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from devicesdk.wire.timebase import SECOND
from gateway.core import rows, stimuli
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from tests_kit.gateway_charts import (
    Loop,
    bundle,
    digest_of,
    factory,
    flags_of,
    kill_of,
    plan,
    want_of,
)

OLD, BAD, GOOD = "gauge@1.0.0", "gauge@1.1.0", "gauge@1.2.0"
FLAG = '{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}'
CONFIG = GatewayConfig(control=ControlLimits(page_devices=2, outbox_in_flight_max=2))
"""Small pages and a small window, so that a crash finds work half done."""


def tell_the_story(fuse, session_survives):
    loop = Loop(CONFIG, fuse, session_survives)
    loop.start()
    for name in (OLD, BAD, GOOD):
        loop.ask(bundle(name))
    loop.ask(factory(OLD))
    for number in range(5):
        fates = {
            digest_of(BAD): "good" if number == 0 else "trial",
            digest_of(GOOD): ["link", "good"],
        }
        loop.add_device(f"d{number}", digest_of(OLD), fates)
    loop.run(5 * SECOND)
    loop.ask(stimuli.CreateRollout(plan("r1", BAD, waves=(0.8, 1.0))))
    loop.run(7 * SECOND)
    loop.ask(stimuli.SetFlag("all", "dial", FLAG))
    loop.ask(stimuli.Kill("polish"))
    loop.run(60 * SECOND)
    loop.ask(stimuli.CreateRollout(plan("r2", GOOD, waves=(0.5, 1.0), soak_ns=5 * SECOND)))
    loop.run(75 * SECOND)
    loop.ask(stimuli.Kill("polish", alive=True))
    loop.run(300 * SECOND)
    return loop


def check_what_was_decided(loop):
    desired = {key: row for (table, key), row in loop.rows.items() if table == rows.DESIRED}
    for name, device in loop.devices.items():
        want = want_of(loop.retained[f"fd/main/d/{name}/want"])
        assert want.generation == desired[name].generation == device.seen, f"{name}: {want}"
        assert want.manifest == desired[name].manifest, f"{name} is not told what was decided"
    flags = flags_of(loop.retained["fd/main/f/all"])
    assert flags.rev == loop.rows[rows.SEGMENT, "all"].rev == 1
    kills = kill_of(loop.retained["fd/main/k"])
    assert (kills.version, kills.features) == (2, ()), f"kill list is {kills}"
    left = [key for table, key in loop.rows if table == rows.OUTBOX]
    assert left == [], f"decided and never acknowledged: {left}"


def check_the_end(loop):
    states = {view.id: view.state for view in loop.core.rollout_views()}
    assert states == {"r1": "halted", "r2": "completed"}
    first, second = loop.core.rollout_views()
    assert sum(wave.rolled_back for wave in first.waves) >= 2
    (canary,) = first.waves
    assert canary.reverted == canary.offered == 4, f"not everybody was taken back: {canary}"
    assert sum(wave.committed for wave in second.waves) == 5, second
    assert sum(wave.offered for wave in second.waves) == 5, second
    assert all(device.running == digest_of(GOOD) for device in loop.devices.values())
    for device in loop.devices.values():
        tried = [manifest for manifest, _ in device.history].count(digest_of(BAD))
        assert tried <= 1, f"{device.name} was given the bad bundle {tried} times"


def check_nothing_ran_backwards(loop):
    numbers = {}
    readers = {"want": want_of, "kill": kill_of, "flags": flags_of}
    for publish in loop.published:
        if publish.kind in readers:
            message = readers[publish.kind](publish.payload)
            number = getattr(message, "generation", getattr(message, "version", 0))
            numbers.setdefault(publish.topic, []).append(number or getattr(message, "rev", 0))
    for topic, published in numbers.items():
        assert all(a <= b for a, b in pairwise(published)), f"{topic}: {published}"


POINTS = tell_the_story(0, session_survives=True).points


@pytest.mark.parametrize("session_survives", [True, False], ids=["session", "no-session"])
def test_a_crash_between_any_two_effects_loses_nothing(session_survives):
    for fuse in range(POINTS + 1):
        loop = tell_the_story(fuse, session_survives)
        try:
            assert loop.crashes == (fuse > 0), f"fuse {fuse} never burnt: {loop.points} points"
            check_what_was_decided(loop)
            check_the_end(loop)
            check_nothing_ran_backwards(loop)
        except AssertionError as error:
            raise AssertionError(f"killed at point {fuse} of {POINTS}: {error}") from error
