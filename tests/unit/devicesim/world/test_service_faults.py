"""Each fault of broker, gateway and source: it begins, it ends, nothing is left, and the books balance."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.world.ledger import UP, DropCause
from tests_kit import faulted, worlds

KICK = "{at: 20m, do: broker.restart}"
"""Everybody must come back in the middle of it."""
WITH_RTC = "  - {group: kiosk, count: 4, profile: rpi5-kiosk, link: fcc-dsl}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Devices that have something to say every five minutes."""
    monkeypatch.setattr(worlds, "HEAD", worlds.HEAD.replace("window: 15m", "window: 5m"))


def whole(drill):
    assert worlds.broken(drill) == []
    assert faulted.nothing_left(drill) == []


def failures(drill):
    """Let a list be filled with the reasons for which attempts failed."""
    reasons = []
    for host in drill.world.hosts:
        tell = type(host).on_connect_failed

        def heard(now, reason, host=host, tell=tell):
            reasons.append((now / MINUTE, host.device, reason))
            tell(host, now, reason)

        host.path.station = _Ears(host, heard)
    return reasons


class _Ears:
    """A station that passes everything on and listens to failed attempts."""

    def __init__(self, host, heard):
        object.__setattr__(self, "_host", host)
        object.__setattr__(self, "on_connect_failed", heard)

    def __getattr__(self, name):
        return getattr(self._host, name)

    def __setattr__(self, name, value):
        setattr(self._host, name, value)


def watched(timeline, rest="", **more):
    """A run, its diary, and why attempts failed."""
    found = []
    drill, diary = faulted.ran(
        timeline, rest, before=lambda drill: found.append(failures(drill)), **more
    )
    return drill, diary, found[0]


def test_with_an_expired_certificate_open_connections_live_and_no_handshake_succeeds():
    drill, diary, why = watched(["{at: 15m, for: 20m, do: broker.certificate_expires}", KICK])
    assert diary.online[19] == 4
    assert diary.between(diary.came, 20, 35) == []
    assert {reason for at, _, reason in why if at > 20.1} == {"bad certificate"}
    assert diary.online[42] == 4
    whole(drill)


def test_a_certificate_may_expire_later_and_for_some():
    action = (
        "{at: 15m, for: 30m, do: broker.certificate_expires, lasts: 10m, target: id=kiosk-0001}"
    )
    drill, diary, why = watched([action, KICK, "{at: 30m, do: broker.restart}"])
    assert diary.online[23] == 4, "it is still good"
    assert diary.online[33] == 3
    assert {device for at, device, reason in why if reason == "bad certificate"} == {"kiosk-0001"}
    assert diary.online[52] == 4
    whole(drill)


def test_judged_by_own_clocks_one_that_believes_in_1970_never_connects():
    drill, diary, why = watched(
        [
            "{at: 10m, for: 40m, do: broker.certificate_expires, clocks: own, lasts: 300d}",
            "{at: 20m, do: clock.lose_rtc, target: id=kiosk-0002}",
            "{at: 25m, do: broker.restart}",
        ],
        fleet=WITH_RTC,
    )
    assert diary.online[45] == 3
    assert {device for _, device, reason in why} == {"kiosk-0002"}
    assert diary.online[56] == 4
    whole(drill)


def test_judged_by_own_clocks_one_that_is_late_still_connects():
    def late(drill):
        clock = drill.world.hosts[3].parts.clock
        drill.world.kernel.at(
            14 * MINUTE, lambda now, _: clock.set_wall(now, clock.wall_ms(now) - 3_600_000)
        )

    drill, diary = faulted.ran(
        ["{at: 15m, for: 20m, do: broker.certificate_expires, clocks: own}", KICK],
        before=late,
        fleet=WITH_RTC,
    )
    assert {device for _, device in diary.between(diary.came, 20, 35)} == {"kiosk-0003"}
    assert diary.online[50] == 4
    whole(drill)


def test_two_certificates_that_overlap_are_both_in_the_way():
    drill, diary, _ = watched(
        [
            "{at: 15m, for: 10m, do: broker.certificate_expires}",
            "{at: 18m, for: 20m, do: broker.certificate_expires}",
            KICK,
        ]
    )
    assert diary.between(diary.came, 20, 38) == []
    assert diary.online[45] == 4
    whole(drill)


def test_a_share_of_the_fleet_is_not_in_the_book_until_it_is_repaired():
    drill, diary, why = watched(
        ["{at: 15m, for: 20m, do: broker.refuse, share: 50%}", KICK], count=10
    )
    refused = {device for _, device, reason in why if reason == "not_authorized"}
    assert 2 <= len(refused) <= 8
    assert diary.online[30] == 10 - len(refused)
    assert diary.online[45] == 10
    whole(drill)


def test_the_same_are_refused_whoever_else_is_there():
    def refused(count):
        _, _, why = watched(
            ["{at: 15m, for: 20m, do: broker.refuse, share: 50%}", KICK], count=count
        )
        return {device for _, device, reason in why if reason == "not_authorized"}

    few, many = refused(4), refused(6)
    assert few == {device for device in many if int(device[-4:]) < 4}


def test_flow_control_turns_some_attempts_away_and_in_the_end_all_are_in():
    drill, diary, why = watched(
        ["{at: 15m, for: 30m, do: broker.flow_control, share: 30%}", KICK], count=10
    )
    turned = [entry for entry in why if entry[2] == "server busy"]
    let_in = diary.between(diary.came, 20, 45)
    assert len(turned) > len(let_in) >= 5
    assert diary.between(turned, 45, 60) == []
    assert diary.online[55] == 10
    whole(drill)


def test_a_flow_control_of_nothing_lets_nobody_in_and_the_stricter_counts():
    drill, diary, _ = watched(
        [
            "{at: 15m, for: 30m, do: broker.flow_control, share: 100%}",
            "{at: 16m, for: 15m, do: broker.flow_control, share: 0%}",
            KICK,
        ]
    )
    assert diary.between(diary.came, 20, 31) == []
    assert diary.online[40] == 4
    whole(drill)


ROLLOUT = "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 12m, waves: [100%], soak: 1m}]\n"


def test_without_its_source_a_download_stands_still_and_goes_on_when_it_is_back():
    at_25 = []
    drill, _ = faulted.ran(
        ["{at: 11m, for: 20m, do: source.gone}"],
        ROLLOUT,
        before=lambda drill: drill.world.kernel.at(
            30 * MINUTE, lambda *_: at_25.append(drill.meter.read("updated_ratio"))
        ),
    )
    assert at_25 == [0.0]
    assert drill.meter.read("updated_ratio") == 1.0
    assert drill.world.ledger.drops(UP)[DropCause.SOURCE_GONE] > 0
    whole(drill)


def test_a_source_that_answers_half_of_the_requests_only_slows_it():
    drill, _ = faulted.ran(["{at: 11m, for: 40m, do: source.gone, share: 50%}"], ROLLOUT)
    assert drill.world.ledger.drops(UP)[DropCause.SOURCE_GONE] > 0
    assert drill.meter.read("updated_ratio") == 1.0
    whole(drill)


def test_two_losses_of_the_source_are_over_with_the_second():
    done = []
    drill, _ = faulted.ran(
        ["{at: 11m, for: 9m, do: source.gone}", "{at: 15m, for: 20m, do: source.gone}"],
        ROLLOUT,
        before=lambda drill: drill.world.kernel.at(
            34 * MINUTE, lambda *_: done.append(drill.meter.read("updated_ratio"))
        ),
    )
    assert done == [0.0]
    assert drill.meter.read("updated_ratio") == 1.0
    whole(drill)
