"""Each fault of the network: it begins, it ends, nothing is left, and the books balance."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE
from tests_kit import faulted, worlds

KICK = "{at: 20m, do: broker.restart}"
"""Everybody must come back in the middle of it."""
FLAGS = "flags: [{at: 16m, kill: a}, {at: 50m, set: {a: {percent: 100}}}]\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Devices that have something to say every five minutes."""
    monkeypatch.setattr(worlds, "HEAD", worlds.HEAD.replace("window: 15m", "window: 5m"))


def whole(drill):
    assert worlds.broken(drill) == []
    assert faulted.nothing_left(drill) == []


def test_what_is_held_arrives_at_the_end_in_its_order_and_nobody_is_disconnected():
    flags = "flags: [{at: 20m5s, kill: a}, {at: 20m15s, set: {a: {percent: 100}}}]\n"
    drill, diary = faulted.ran(["{at: 20m, for: 40s, do: hold, target: all}"], flags)
    assert diary.between(diary.went, 12, 60) == [], "keep-alives pass: nobody should have noticed"
    assert diary.between(diary.got, 20.1, 20.6) == []
    released = diary.between(diary.got, 20.6, 21)
    for host in drill.world.hosts:
        kinds = [kind for _, device, kind in released if device == host.device]
        assert kinds[:2] == ["kill", "flags"], f"{host.device} heard {kinds}"
    whole(drill)


def test_who_waits_too_long_for_what_is_held_gives_the_connection_up():
    drill, diary = faulted.ran(["{at: 15m, for: 15m, do: hold, target: all}"])
    assert {why for _, _, why in diary.between(diary.went, 15, 60)} == {"publishes unacknowledged"}
    assert diary.online[40] == 4
    whole(drill)


def test_overlapping_holds_count_and_a_heal_ends_them():
    held = []
    drill, diary = faulted.ran(
        [
            "{at: 12m, for: 10m, do: hold, target: all}",
            "{at: 15m, do: hold, target: all}",
            "{at: 30m, do: heal, target: all}",
        ],
        FLAGS,
        before=lambda drill: drill.world.kernel.at(
            25 * MINUTE, lambda *_: held.append(drill.world.hosts[0].path.stuffed)
        ),
    )
    assert held == [True], "one of two holds had ended, and let go what the other held"
    assert {kind for _, _, kind in diary.between(diary.got, 30, 31)} >= {"kill"}
    whole(drill)


def test_a_hold_and_a_black_hole_over_each_other():
    drill, diary = faulted.ran(
        [
            "{at: 15m, for: 10m, do: hold, target: all}",
            "{at: 18m, for: 30s, do: partition, target: all}",
            "{at: 24m50s, for: 20s, do: partition, target: all}",
        ],
        FLAGS,
    )
    assert diary.between(diary.got, 15.1, 25) == []
    assert len(diary.between(diary.got, 25, 26)) >= 4
    whole(drill)


def test_connections_that_end_while_messages_are_held_lose_them_with_a_cause():
    drill, _ = faulted.ran(["{at: 15m, for: 15m, do: hold, target: all}", KICK])
    whole(drill)


def test_behind_a_captive_portal_tcp_connects_and_no_connack_comes():
    drill, diary = faulted.ran(["{at: 15m, for: 20m, do: captive_portal, target: all}"])
    assert diary.online[14] == 4
    assert diary.online[20] == 0, "open connections fall silent too"
    assert diary.between(diary.came, 15, 35) == []
    assert {reason for _, _, reason in diary.between(diary.went, 15, 35)} == {"keep-alive"}
    assert len(diary.between(diary.tried, 20, 35)) > 8
    assert diary.online[45] == 4
    whole(drill)


def test_a_portal_that_leaves_open_connections_alone():
    drill, diary = faulted.ran(
        ["{at: 15m, for: 20m, do: captive_portal, existing: live, target: all}", KICK]
    )
    assert diary.online[19] == 4
    assert diary.between(diary.came, 20, 35) == []
    assert diary.online[45] == 4
    whole(drill)


def test_an_attempt_that_a_portal_took_does_not_come_through_when_it_goes():
    drill, diary = faulted.ran(
        [
            "{at: 15m, for: 15m, do: captive_portal, existing: live, target: all}",
            "{at: 29m57s, do: broker.restart}",
        ],
    )
    back = [at for at, _ in diary.between(diary.came, 29, 40)]
    swallowed = [at for at, _ in diary.between(diary.tried, 29, 30)]
    assert len(back) == 4
    assert swallowed, "the restart should have made somebody dial before the end"
    assert max(back) - 30 > 15 / 60, "an attempt swallowed by the portal was answered by the broker"
    whole(drill)


def test_a_nat_forgets_the_silent_and_nobody_is_told():
    keepalive = "agent: {keepalive: 4m}\n"
    drill, diary = faulted.ran(
        ["{at: 15m, for: 20m, do: nat.timeout, idle: 90s, target: all}"], keepalive
    )
    gone = diary.between(diary.went, 15, 43)
    assert {reason for _, _, reason in gone} <= {"keep-alive", "publishes unacknowledged"}
    assert {device for _, device, _ in gone} == {host.device for host in drill.world.hosts}
    assert diary.between(diary.went, 43, 60) == [], "mappings are no longer forgotten"
    assert diary.online[50] == 4
    whole(drill)


def test_a_keep_alive_below_the_timeout_keeps_the_mapping():
    drill, diary = faulted.ran(
        ["{at: 15m, for: 20m, do: nat.timeout, idle: 90s, target: all}"],
        "agent: {keepalive: 60s}\n",
    )
    assert diary.between(diary.went, 12, 60) == []
    whole(drill)


def test_of_two_nats_the_hastier_counts_until_it_is_gone():
    drill, diary = faulted.ran(
        [
            "{at: 12m, for: 40m, do: nat.timeout, idle: 20m, target: all}",
            "{at: 15m, for: 10m, do: nat.timeout, idle: 90s, target: all}",
        ],
        "agent: {keepalive: 4m}\n",
    )
    assert diary.between(diary.went, 15, 32)
    assert diary.between(diary.went, 33, 60) == []
    whole(drill)


def test_without_a_name_open_connections_live_and_new_ones_fail_at_once():
    drill, diary = faulted.ran(["{at: 15m, for: 20m, do: dns.gone, target: all}", KICK])
    assert diary.online[19] == 4
    assert diary.online[21] == 0
    assert diary.between(diary.came, 20, 35) == []
    assert diary.online[40] == 4
    whole(drill)


def test_who_asked_in_vain_learns_of_the_return_within_the_ttl():
    action = "{at: 15m, for: 10m, do: dns.gone, ttl: 20m, target: all}"
    drill, diary = faulted.ran([action, KICK], count=12)
    back = sorted(at for at, _ in diary.between(diary.came, 20, 60))
    assert len(back) == 12
    assert back[0] < 32 < 38 < back[-1] < 48, f"expected a tail over 20 minutes, found {back}"
    whole(drill)


def test_who_never_asked_has_nothing_to_forget():
    action = "{at: 15m, for: 10m, do: dns.gone, ttl: 20m, target: all}"
    drill, diary = faulted.ran([action, "{at: 25m1s, do: broker.restart}"])
    assert diary.online[28] == 4
    whole(drill)


def test_two_overlapping_losses_of_the_name_are_over_with_the_second():
    drill, diary = faulted.ran(
        [
            "{at: 15m, for: 10m, do: dns.gone, target: all}",
            "{at: 18m, for: 20m, do: dns.gone, target: all}",
            KICK,
        ]
    )
    assert diary.between(diary.came, 20, 38) == []
    assert diary.online[42] == 4
    whole(drill)
