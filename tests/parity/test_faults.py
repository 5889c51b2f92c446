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

SPEED = 20.0
"""Slow enough for a busy machine: a second in which nobody gets a processor is a third of a keep-alive."""
LASTS = "at: 2m, for: 3m"
FORGETS = "at: 2m, for: 3m45s"
"""The NAT's own: the update's last chunks keep its victim's connection warm, and silence is found late."""
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
LATER = [
    f"{{at: 6m, for: 1m30s, do: broker.take_over, every: 1m, target: id={FREE}}}",
    "{at: 7m30s, for: 30s, do: gateway.crash, effect: 2}",
    "{at: 8m30s, for: 20s, do: gateway.restart}",
    "{at: 9m, for: 1m, do: gateway.full_store}",
]
CANNOT = {
    "hold": "target: all",
    "broker.overflow": "queue_max: 5",
    "broker.drop_acked": "share: 5%",
    "gateway.deploy_older": "id: older",
}
"""What is said to be skipped, each with a parameter."""


def timeline():
    lines = [
        f"{{{FORGETS if 'nat' in what else LASTS}, {what}, target: id={who}}}"
        for who, what in FAULTS.items()
    ]
    lines += [KICK, "{at: 1m, for: 4m, do: source.gone}", *LATER]
    lines += [f"{{{LASTS}, do: {verb}, {more}}}" for verb, more in CANNOT.items()]
    return f"timeline: [{', '.join(lines)}]\n"


ROLLOUT = (
    "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 1m30s, waves: [100%], soak: 30s, jitter: 1s,"
    " policy: {battery_min: 0%, trial: 30s}}]\n"
)


FLAGS = "flags: [{at: 7m40s, set: {a: {percent: 100}}}, {at: 9m10s, kill: a}]\n"
"""Something to make durable while the gateway is to crash at it."""


def text():
    words = worlds.scenario_text(
        "agent: {keepalive: 60s, backoff: {base: 1s, cap: 10s}}\n" + ROLLOUT + FLAGS + timeline(),
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
        connected = drill.world.gateway.connected
    return drill, diary, connected


@pytest.mark.mosquitto
def test_faults_of_networks_and_services_begin_and_end_against_mosquitto(tmp_path):
    drill, diary, connected = asyncio.run(asyncio.wait_for(lived(tmp_path), 180))
    world = drill.world
    came = diary.between(diary.came, 2.5, 5.0)
    assert {device for _, device in came} <= {"kiosk-0005", FREE}, "somebody passed a closed gate"
    assert FREE in {device for _, device in came}, "the one without a fault was not back"
    thrown = {device for _, device, _ in diary.between(diary.went, 2.0, 6.0)}
    assert thrown == {*FAULTS, FREE}, diary.went
    assert diary.online[11.5] == 7, "a fault outlived its end"
    assert diary.between(diary.went, 8.0, 12.0) == []
    assert world.ledger.drops(DOWN)[DropCause.SOURCE_GONE] > 0
    assert drill.meter.read("updated_ratio") == 1.0
    assert [line.partition(":")[0] for line in world.skipped] == [*[*CANNOT][:3], "older"]
    # What the NAT has forgotten stays forgotten when it is repaired: its victim may find that out now.
    taken = [gone for gone in diary.between(diary.went, 6.0, 8.0) if gone[1] != "kiosk-0005"]
    assert {device for _, device, _ in taken} == {FREE}, taken
    assert len(taken) == 2, "once at the beginning, once a minute later"
    assert world.gateway.crashes >= 2, "one at an effect, the others for want of room"
    assert connected
    told = {(device, kind) for at, device, kind in diary.got if at > 9.9}
    assert told >= {(f"kiosk-{i:04}", "kill") for i in range(7)}, "said when there was room again"
    assert worlds.broken(drill, but=("conservation", "one_session")) == []
