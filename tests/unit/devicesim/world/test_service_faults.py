"""Each fault of broker, gateway and source: it begins, it ends, nothing is left, and the books balance."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world.ledger import LEGS, UP, DropCause
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
    assert drill.meter.read("reconnect_p99") < 180 * SECOND, (
        "the time of the fault is not the device's"
    )
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


# -- messages and sessions ------------------------------------------------------------------------

FLAGS = "flags: [{at: 16m, set: {a: {percent: 100}}}, {at: 17m, kill: a}]\n"
GATEWAY_AWAY = "{at: 15m, for: 15m, do: gateway.crash}"


def dropped(drill, cause):
    return {leg: drill.world.ledger.drops(leg).get(cause, 0) for leg in LEGS}


def at(minute, look):
    """What `look` finds at a minute, in a list."""
    found = []

    def before(drill):
        drill.world.kernel.at(int(minute * MINUTE), lambda now, _: found.append(look(drill, now)))

    return found, before


def test_a_shorter_queue_overflows_and_is_long_again_afterwards():
    away = "{at: 13m, for: 25m, do: partition, target: id=kiosk-0001}"
    drill, _ = faulted.ran(
        ["{at: 12m, for: 20m, do: broker.overflow, queue_max: 1}", GATEWAY_AWAY, away], FLAGS
    )
    assert dropped(drill, DropCause.QUEUE_FULL)["broker"] > 0
    whole(drill)
    drill, _ = faulted.ran([GATEWAY_AWAY, away], FLAGS)
    assert dropped(drill, DropCause.QUEUE_FULL)["broker"] == 0


def test_of_two_bounds_the_lower_counts_and_the_end_of_one_is_not_the_end_of_both():
    bounds = []

    def before(drill):
        delivery = drill.world.broker.core._delivery
        for minute in (14, 21, 31, 41):
            drill.world.kernel.at(minute * MINUTE, lambda *_: bounds.append(delivery.queue_max))

    faulted.ran(
        [
            "{at: 12m, for: 18m, do: broker.overflow, queue_max: 5}",
            "{at: 20m, for: 20m, do: broker.overflow, queue_max: 3}",
        ],
        before=before,
    )
    assert bounds == [5, 3, 3, 1000]


def test_what_is_acknowledged_and_dropped_is_counted_and_ends():
    drill, diary = faulted.ran(["{at: 10m, for: 20m, do: broker.drop_acked, share: 40%}"])
    assert dropped(drill, DropCause.ACKED)["broker"] > 0
    assert diary.between(diary.went, 10, 60) == [], "an acknowledged message is no reason to go"
    assert drill.world.broker.core._eats is None
    whole(drill)


def test_what_the_gateway_says_can_be_dropped_too_and_only_that():
    drill, _ = faulted.ran(
        ["{at: 15m, for: 10m, do: broker.drop_acked, share: 100%, of: gateway}"], FLAGS
    )
    kinds = {row.kind for row in drill.world.ledger.rows() if DropCause.ACKED in row.dropped}
    assert kinds
    assert kinds <= {"want", "flags", "kill", "timestamp", "ack"}, kinds
    assert faulted.nothing_left(drill) == []


def test_a_second_client_takes_the_session_once_and_its_owner_takes_it_back():
    drill, diary = faulted.ran(["{at: 20m, do: broker.take_over, target: id=kiosk-0001}"])
    ((when, who, why),) = diary.between(diary.went, 12, 60)
    assert (round(when), who, why) == (20, "kiosk-0001", "session_taken_over")
    assert diary.online[22] == 4
    whole(drill)


def test_a_clone_that_comes_back_again_and_again_until_it_is_gone():
    drill, diary = faulted.ran(
        ["{at: 20m, for: 10m, do: broker.take_over, every: 2m, target: id=kiosk-0001}"], FLAGS
    )
    times = [when for when, _, _ in diary.between(diary.went, 12, 60)]
    assert len(times) == 5
    assert max(times) < 30
    assert diary.online[35] == 4
    whole(drill)


def test_who_comes_while_the_owner_is_away_hears_what_is_not_for_it_and_it_is_said_again():
    drill, diary = faulted.ran(
        [
            "{at: 15m, for: 10m, do: partition, how: detach, target: id=kiosk-0001}",
            "{at: 15m30s, for: 5m, do: broker.take_over, target: id=kiosk-0001}",
        ],
        FLAGS,
    )
    assert dropped(drill, DropCause.TAKEN_OVER)["down"] > 0
    heard = {kind for _, device, kind in diary.between(diary.got, 25, 30) if device == "kiosk-0001"}
    assert {"flags", "kill"} <= heard
    whole(drill)


def test_nobody_takes_over_while_the_broker_is_down():
    drill, diary = faulted.ran(
        [
            "{at: 20m, for: 2m, do: broker.restart}",
            "{at: 21m, for: 5m, do: broker.take_over, target: all}",
        ]
    )
    left = diary.between(diary.went, 12, 60)
    assert len(left) == 4, "the restart sends everybody away, once"
    assert all(when < 21 and why != "session_taken_over" for when, _, why in left), left
    assert diary.online[21] == 0
    assert diary.online[25] == 4, "nobody holds their sessions"
    whole(drill)


# -- gateway --------------------------------------------------------------------------------------


def up(drill, now):
    return drill.world.gateway.up


def test_a_crash_at_an_effect_comes_with_it_and_not_before():
    crashes, before = at(16, lambda drill, now: drill.world.gateway.crashes)
    drill, _ = faulted.ran(
        ["{at: 15m, for: 15m, do: gateway.crash, effect: 40}"], ROLLOUT, before=before
    )
    assert drill.world.gateway.crashes == 1
    assert crashes in ([0], [1])
    assert drill.world.gateway.up
    assert drill.meter.read("updated_ratio") == 1.0
    whole(drill)


def test_a_crash_at_an_effect_that_never_comes_is_none():
    drill, _ = faulted.ran(["{at: 15m, for: 5m, do: gateway.crash, effect: 1000000}"])
    assert drill.world.gateway.crashes == 0
    assert drill.world.gateway.fuse == -1
    whole(drill)


def test_two_crashes_that_overlap_keep_it_down_until_both_are_over():
    found, before = at(26, up)
    drill, _ = faulted.ran(
        ["{at: 15m, for: 10m, do: gateway.crash}", "{at: 20m, for: 15m, do: gateway.crash}"],
        before=before,
    )
    assert found == [False]
    assert drill.world.gateway.up
    assert drill.world.gateway.crashes == 1
    whole(drill)


def test_a_full_store_acknowledges_nothing_and_the_gateway_comes_back_when_there_is_room():
    done, before = at(17, lambda drill, now: drill.meter.read("updated_ratio"))
    drill, _ = faulted.ran(
        ["{at: 11m30s, for: 6m, do: gateway.full_store}"], ROLLOUT, before=before
    )
    assert done == [0.0]
    assert drill.world.gateway.crashes > 10, "its supervisor tried again and again"
    assert drill.world.gateway.up
    assert drill.meter.read("updated_ratio") == 1.0
    whole(drill)


def test_nothing_becomes_durable_while_the_store_is_full():
    commits = []

    def before(drill):
        for minute in (12, 24.9):
            drill.world.kernel.at(
                int(minute * MINUTE), lambda *_: commits.append(drill.world.gateway.store.commits)
            )

    drill, _ = faulted.ran(
        [
            "{at: 11m, for: 6m, do: gateway.full_store}",
            "{at: 14m, for: 11m, do: gateway.full_store}",
        ],
        before=before,
    )
    assert commits[0] == commits[1], "a commit succeeded in a full store"
    assert drill.world.gateway.store.commits > commits[1]
    whole(drill)


def test_what_the_operator_asks_for_while_the_gateway_is_away_for_long_is_asked_again():
    drill, diary = faulted.ran(["{at: 15m, for: 20m, do: gateway.crash}"], FLAGS)
    kinds = {kind for _, _, kind in diary.between(diary.got, 35, 37)}
    assert kinds >= {"flags", "kill"}, "an operator gave up after ten minutes"
    whole(drill)


def test_an_orderly_restart_loses_nothing():
    drill, _ = faulted.ran(
        ["{at: 14m, do: gateway.restart}", "{at: 20m, for: 5m, do: gateway.restart}"], ROLLOUT
    )
    assert drill.world.gateway.crashes == 0
    assert dropped(drill, DropCause.GATEWAY_DOWN) == dict.fromkeys(LEGS, 0)
    assert drill.meter.read("updated_ratio") == 1.0
    whole(drill)


def test_an_orderly_restart_takes_as_long_as_it_says():
    found, before = at(22, up)
    drill, _ = faulted.ran(["{at: 20m, for: 5m, do: gateway.restart}"], before=before)
    assert found == [False]
    assert drill.world.gateway.up
    whole(drill)


def test_an_older_version_refuses_newer_rows_and_is_down_until_it_is_undone():
    found, before = at(20, up)
    drill, _ = faulted.ran(
        ["{at: 15m, for: 10m, do: gateway.deploy_older}"], ROLLOUT, before=before
    )
    assert found == [False]
    assert drill.world.gateway.crashes == 0
    assert drill.meter.read("updated_ratio") == 1.0
    whole(drill)


def test_a_broker_that_accepts_slowly_is_as_before_when_the_last_such_fault_is_over():
    rates = []

    def before(drill):
        core = drill.world.broker.core
        for minute in (14, 21, 31, 41):
            drill.world.kernel.at(minute * MINUTE, lambda *_: rates.append(core._accept_rate_per_s))

    drill, _ = faulted.ran(
        [
            "{at: 12m, for: 18m, do: broker.slow_accept, rate: 5/s}",
            "{at: 20m, for: 20m, do: broker.slow_accept, rate: 9/s}",
        ],
        before=before,
    )
    assert rates == [5.0, 5.0, 9.0, drill.world.broker.core.limits.accept_rate_per_s]


def test_what_was_proved_counts_as_a_clock_where_tls_goes_by_it():
    drill, diary, why = watched(
        [
            "{at: 10m, for: 40m, do: broker.certificate_expires, clocks: own, lasts: 300d}",
            "{at: 20m, do: clock.lose_rtc, target: id=kiosk-0002}",
            "{at: 25m, do: broker.restart}",
        ],
        "agent: {tls_time: proved}\n",
        fleet=WITH_RTC,
    )
    assert diary.online[45] == 4, "it believes in 1970, and knows better"
    assert why == []
    whole(drill)
