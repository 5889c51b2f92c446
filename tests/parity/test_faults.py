"""Faults of networks and services against a real broker: the same words, the same consequences.

One run of twelve scenario minutes, each device under a fault of its own, so that all of them cost one run.
"""

from __future__ import annotations

import asyncio

import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.live.drive import drive
from devicesim.live.stage import Setting, open_stage
from devicesim.world.drill import Drill
from devicesim.world.ledger import DOWN, DropCause
from tests_kit import faulted, worlds

SPEED = 60.0
LASTS = "at: 2m, for: 3m"
KICK = "{at: 2m30s, for: 1s, do: partition, how: reset, target: 'id!=kiosk-0000 & id!=kiosk-0005'}"
FAULTS = {
    "kiosk-0000": "do: captive_portal",
    "kiosk-0001": "do: dns.gone",
    "kiosk-0002": "do: broker.certificate_expires",
    "kiosk-0003": "do: broker.refuse",
    "kiosk-0004": "do: broker.flow_control, share: 0%",
    "kiosk-0005": "do: nat.timeout, idle: 25s",
}
"""Whom each fault keeps out, or throws out."""
FREE = "kiosk-0006"


def timeline():
    lines = [f"{{{LASTS}, {what}, target: id={who}}}" for who, what in FAULTS.items()]
    lines += [KICK, f"{{{LASTS}, do: source.gone}}", f"{{{LASTS}, do: hold, target: all}}"]
    return f"timeline: [{', '.join(lines)}]\n"


ROLLOUT = (
    "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 1m30s, waves: [100%], soak: 30s, jitter: 1s,"
    " policy: {battery_min: 0%, trial: 30s}}]\n"
)


def text():
    words = worlds.scenario_text(
        "agent: {keepalive: 60s, backoff: {base: 1s, cap: 10s}}\n" + ROLLOUT + timeline(),
        count=7,
        duration="12m",
    )
    return words.replace("window: 15m", "window: 1m")


async def lived(folder):
    overrides = ("clock.mode=real", f"clock.speed={SPEED}")
    async with open_stage(Setting(folder=folder, speed=SPEED, broker="mosquitto")) as stage:
        drill = Drill(worlds.make_world(text(), stage=stage, overrides=overrides))
        diary = faulted.Diary(drill, probes_s=5)
        drill.world.watch.add(diary)
        await drive(drill.world, stage, 12 * MINUTE)
    return drill, diary


@pytest.mark.mosquitto
def test_faults_of_networks_and_services_begin_and_end_against_mosquitto(tmp_path):
    drill, diary = asyncio.run(asyncio.wait_for(lived(tmp_path), 60))
    world = drill.world
    came = diary.between(diary.came, 2.5, 5.0)
    assert {device for _, device in came} <= {"kiosk-0005", FREE}, "somebody passed a closed gate"
    assert FREE in {device for _, device in came}, "the one without a fault was not back"
    thrown = {device for _, device, _ in diary.between(diary.went, 2.0, 5.0)}
    assert thrown == {*FAULTS, FREE}
    assert diary.online[11.5] == 7, "a fault outlived its end"
    assert diary.between(diary.went, 8.0, 12.0) == []
    assert world.ledger.drops(DOWN)[DropCause.SOURCE_GONE] > 0
    assert drill.meter.read("updated_ratio") == 1.0
    assert [line.partition(":")[0] for line in world.skipped] == ["hold"]
    assert worlds.broken(drill, but=("conservation", "one_session")) == []
