"""How each group comes back: curves, peaks and what was wasted."""

import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world import returns
from devicesim.world.returns import Returns
from tests_kit import worlds

FLEET = """\
  - {group: kiosk, count: 3, profile: rpi4-kiosk, link: fcc-dsl, backoff: hivemq}
  - {group: van, count: 1, profile: handheld, link: fcc-dsl}"""
RESTART = "timeline: [{id: blink, at: 40m, for: 1m, do: broker.restart}]\n"
ASKED = "checks: {slo: [{connects_peak: '<= 9'}]}\n"
SEVEN = "\n".join(
    f"  - {{group: g{n}, count: 1, profile: rpi4-kiosk, link: fcc-dsl, backoff: {policy}}}"
    for n, policy in enumerate(["hivemq"] * 5 + ["mosquitto"] * 2)
)


def a_world(rest=RESTART, fleet=FLEET):
    world = worlds.make_world(worlds.scenario_text(rest, fleet=fleet))
    for host in world.hosts:
        host.path.black = False
    world.broker.up = True
    return world


@pytest.fixture
def world():
    return a_world()


@pytest.fixture
def heard(world):
    return Returns(world)


def test_listens_where_a_group_has_a_way_of_its_own_or_a_check_asks(world):
    plain = FLEET.replace(", backoff: hivemq", "")
    assert returns.wanted(world)
    assert returns.wanted(a_world(ASKED, plain))
    assert not returns.wanted(a_world(RESTART, plain)), "a run that nobody asked about pays for it"


def test_an_attempt_that_no_session_came_of_is_wasted(world, heard):
    kiosk, _, _, van = world.hosts
    for second in range(4):
        heard.attempted(kiosk, second * SECOND)
    heard.connected(kiosk, 4 * SECOND)
    heard.attempted(van, 5 * SECOND)
    heard.connected(van, 5 * SECOND)
    assert heard.wasted_per_device == pytest.approx(3 / 4)
    heard.ended(MINUTE)
    assert [(row.group, row.attempts, row.wasted) for row in heard.rows()] == [
        ("kiosk", 4, 3),
        ("van", 1, 0),
    ]


def test_a_peak_is_the_busiest_second_while_the_broker_is_there_to_be_hit(world, heard):
    for host in world.hosts[:3]:
        heard.attempted(host, 10 * SECOND)
    heard.attempted(world.hosts[3], 10 * SECOND + 999)
    heard.attempted(world.hosts[0], 11 * SECOND)
    assert heard.peak == 4
    assert [group.peak for group in heard.groups.values()] == [3, 1]
    world.broker.up = False
    for _ in range(9):
        heard.attempted(world.hosts[0], 20 * SECOND)
    assert heard.peak == 4, "a broker that is down cannot be hit"
    assert heard.groups["kiosk"].busiest == 9, "but its owner sees that somebody knocks"


def test_a_return_begins_when_it_is_possible(world, heard):
    kiosk = world.hosts[0]
    heard.connected(kiosk, 10 * SECOND)
    heard.disconnected(kiosk, 20 * SECOND, "reset")
    heard.faulted(heard._waits._broker_keys[0], "end", 0, 50 * SECOND)
    heard.connected(kiosk, 57 * SECOND)
    heard.disconnected(kiosk, 60 * SECOND, "reset")
    kiosk.path.cleared_at = 70 * SECOND
    heard.connected(kiosk, 72 * SECOND)
    assert heard.groups["kiosk"].reconnects.between() == [2 * SECOND, 7 * SECOND]
    assert heard.worst_group_ns == 7 * SECOND


def test_a_boot_is_no_return(world, heard):
    kiosk = world.hosts[0]
    heard.connected(kiosk, 10)
    heard.disconnected(kiosk, 20, "reset")
    heard.went_off(kiosk, 30)
    heard.connected(kiosk, 40)
    assert heard.worst_group_ns is None


def test_who_is_told_twice_that_he_is_away_is_away_once(world, heard):
    kiosk = world.hosts[0]
    heard.connected(kiosk, 10)
    heard.disconnected(kiosk, 20, "reset")
    heard.went_off(kiosk, 30)
    assert heard.groups["kiosk"].online == 0


def test_a_curve_has_a_point_for_each_stretch_and_its_busiest_second(world, heard):
    for host in world.hosts[:3]:
        heard.attempted(host, 12 * SECOND)
        heard.connected(host, 13 * SECOND)
    heard.disconnected(world.hosts[0], 31 * SECOND, "reset")
    heard.ended(40 * SECOND)
    online, connects = (heard.series()[name] for name in ("groups_online", "groups_connects"))
    assert online.t_s == [0.0, 10.0, 20.0, 30.0, 40.0]
    assert online.values["kiosk"] == pytest.approx([0, 1, 1, 2 / 3, 2 / 3])
    assert connects.values["kiosk"] == [0, 3, 0, 0, 0]
    assert online.values["van"] == [0] * 5


def test_many_groups_are_told_apart_in_two_panels_those_without_jitter_in_their_own():
    heard = Returns(a_world(fleet=SEVEN))
    assert heard.rows() == [], "nobody has listened yet"
    assert heard.series() == {}
    heard.ended(0)
    shown = {name: list(series.values) for name, series in heard.series().items()}
    assert shown["groups_online"] == ["g0", "g1", "g2", "g3", "g4"]
    assert shown["groups_online_steady"] == shown["groups_connects_steady"] == ["g5", "g6"]
