"""Debug mode in a world: granted to one device, told by it alone, over by itself behind a dead link."""

import pytest
from msgspec.structs import replace

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.world.hearing import Listener
from gateway.core import stimuli as hear
from tests_kit.worlds import broken, make_drill, scenario_text


class Ears(Listener):
    """Events of debug mode, each once, as devices send them."""

    def __init__(self):
        self.said = []

    def said_event(self, host, event, now):
        told = [(index, boot, seq) for index, boot, seq, _, _ in self.said]
        if event.kind == "debug" and (host.index, event.boot_id, event.seq) not in told:
            self.said.append((host.index, event.boot_id, event.seq, now, event.reason))

    def reasons(self, device=0):
        return [one[-1] for one in self.said if one[0] == device]


def drill_of(
    timeline="",
    *,
    duration="4h",
    consents=(0, 1),
    grant_at=HOUR,
    lasts=30 * MINUTE,
    profile="rpi4-kiosk",
):
    fleet = f"  - {{group: kiosk, count: 3, profile: {profile}, link: fcc-dsl}}"
    drill = make_drill(scenario_text(timeline, fleet=fleet, duration=duration))
    world, ears = drill.world, Ears()
    drill.meter.hearing.add(ears)
    for host in world.hosts:
        consent = host.index in consents
        host.parts.config = replace(host.parts.config, debug_consent=consent, debug_frames_max=1)
    asked = hear.GrantDebug(world.hosts[0].parts.identity.device, lasts, "ana", "odd readings")
    world.kernel.at(grant_at, lambda now, _: world.gateway.stimulate(asked, now), None)
    return drill, ears


def told(drill, device=0):
    return drill.world.gateway.core.debug_told(drill.world.hosts[device].parts.identity.device)


def test_one_device_tells_more_for_as_long_as_it_was_granted():
    drill, ears = drill_of()
    drill.world.run()
    assert ears.reasons() == ["began", "expired"]
    begun, ended = (one[-2] for one in ears.said)
    assert HOUR <= begun < HOUR + 10 * SECOND, f"began {begun - HOUR} ns after it was granted"
    assert abs(ended - begun - 30 * MINUTE) < SECOND, f"lasted {(ended - begun) / MINUTE} minutes"
    windows = told(drill)
    assert 1 <= len(windows) <= 3, f"two windows of 15 minutes fit into half an hour: {windows}"
    assert all(len(window.told) == 1 for window in windows), "more frames than one window may tell"
    assert not told(drill, 1), "a device that nobody asked for told something"
    (view,) = drill.world.gateway.core.debug_views()
    assert (view.state, view.ended, view.by) == ("over", "expired", "ana")
    assert broken(drill) == []


def test_an_owner_who_did_not_agree_is_not_overruled():
    drill, ears = drill_of(consents=(1, 2))
    drill.world.run()
    assert ears.reasons() == ["refused:consent"]
    assert told(drill) == []
    (view,) = drill.world.gateway.core.debug_views()
    assert view.ended == "refused:consent"


OFFLINE = "{at: 1h10m, do: partition, how: blackhole, for: 1h, target: all}"
CUT = "{at: 1h10m, do: power.cut, for: 2m, target: all}"


@pytest.mark.parametrize(
    ("trouble", "profile", "goes_on", "end"),
    [
        (OFFLINE, "rpi4-kiosk", True, "expired"),
        (CUT, "rpi5-kiosk", True, "expired"),
        (CUT, "rpi4-kiosk", False, "clock"),
    ],
    ids=["dead link", "power cut", "power cut without a clock that runs on"],
)
def test_it_ends_in_time_behind_a_dead_link_and_after_a_power_cut(trouble, profile, goes_on, end):
    drill, ears = drill_of(f"timeline:\n  - {trouble}\n", profile=profile)
    looks = []

    def look(now, _):
        agent = drill.world.hosts[0].agent
        looks.append((now, agent is not None and agent.debug_mode is not None))

    for minute in range(60, 130):
        drill.world.kernel.at(minute * MINUTE + 30 * SECOND, look, None)
    drill.world.run()
    on = [now for now, is_on in looks if is_on]
    assert on, "it never began"
    assert max(on) < 1.5 * HOUR + MINUTE, f"still on {max(on) / MINUTE} minutes after the start"
    lasted = max(on) > HOUR + 13 * MINUTE
    assert lasted is goes_on, f"on until {max(on) / MINUTE} minutes after the start"
    assert ears.reasons()[-1] == end
    (view,) = drill.world.gateway.core.debug_views()
    assert (view.state, view.ended) == ("over", end), "the end did not reach the books"
    assert all(len(window.told) <= 1 for window in told(drill))
    assert broken(drill) == []


def test_a_device_that_is_away_begins_when_it_is_back_and_not_when_it_is_too_late():
    away = "timeline:\n  - {{at: 50m, do: partition, how: blackhole, for: {}, target: all}}\n"
    drill, ears = drill_of(away.format("20m"))
    drill.world.run()
    assert ears.reasons() == ["began", "expired"]
    late, ears = drill_of(away.format("2h"))
    late.world.run()
    assert ears.reasons() == [], "it began with a grant that was over"
    (view,) = late.world.gateway.core.debug_views()
    assert view.ended == "not confirmed"


def test_the_same_seed_tells_the_same():
    assert drill_of()[0].world.run() == drill_of()[0].world.run()
