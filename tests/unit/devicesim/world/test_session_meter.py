import pytest

from devicesdk.agent.effects import Note
from devicesdk.agent.notes import NoteKind
from devicesdk.wire import codec
from devicesdk.wire.messages import FlagSnapshot, KillList, Signed
from devicesdk.wire.timebase import SECOND
from devicesim.world.session_meter import SessionMeter
from gateway.core.effects import Publish
from tests_kit import worlds

FLEET = """\
  - {group: kiosk, count: 3, profile: rpi4-kiosk, link: fcc-dsl}
  - {group: van, count: 1, profile: handheld, link: fcc-dsl}"""
RESTART = "timeline: [{id: blink, at: 40m, for: 1m, do: broker.restart}]\n"


@pytest.fixture
def meter():
    world = worlds.make_world(worlds.scenario_text(RESTART, fleet=FLEET))
    for host in world.hosts:
        host.path.black = False
    return SessionMeter(world)


def test_online_is_counted_by_group_and_region(meter):
    hosts = meter._world.hosts
    for host in hosts:
        meter.connected(host, 1)
    meter.connected(hosts[0], 2)
    assert meter.online_ratio == 1.0
    meter.disconnected(hosts[0], 3, "reset")
    meter.went_off(hosts[0], 4)
    assert meter.online_count == 3
    assert meter.groups["kiosk"].ratio == pytest.approx(2 / 3)
    assert meter.groups["van"].ratio == 1.0
    assert next(iter(meter.regions.values())).online == 3


def test_a_reconnect_begins_when_it_is_possible(meter):
    host = meter._world.hosts[0]
    meter.connected(host, 10 * SECOND)
    meter.disconnected(host, 20 * SECOND, "keep-alive")
    host.path.cleared_at = 50 * SECOND
    meter.connected(host, 57 * SECOND)
    meter.disconnected(host, 60 * SECOND, "reset")
    meter.faulted("blink", "end", 0, 90 * SECOND)
    meter.connected(host, 92 * SECOND)
    assert meter.reconnects.between() == [2 * SECOND, 7 * SECOND]


def test_who_booted_waits_from_its_boot_on_for_the_session_it_had(meter):
    host = meter._world.hosts[0]
    meter.connected(host, 10 * SECOND)
    meter.disconnected(host, 20 * SECOND, "reset")
    meter.went_off(host, 30 * SECOND)
    assert dict(meter.offline())[host.index] is None
    assert meter.waiting_ns(host, 35 * SECOND) == 0, "nobody waits without power"
    meter.booted(host, 40 * SECOND)
    assert dict(meter.offline())[host.index] == 40 * SECOND
    assert meter.waiting_ns(host, 60 * SECOND) == 20 * SECOND
    meter.connected(host, 70 * SECOND)
    assert meter.reconnects.between() == [30 * SECOND]
    assert (meter.waits[host.index], meter.returns[host.index]) == (30 * SECOND, 1)


def test_the_first_session_of_a_device_is_no_return(meter):
    host = meter._world.hosts[0]
    meter.booted(host, 10)
    meter.connected(host, 40)
    assert len(meter.reconnects) == 0


def publish(kind, message):
    envelope = Signed(payload=codec.encode(message), key_id=b"k" * 8, signature=b"s" * 64)
    return Publish(f"fd/main/{kind}", kind, codec.encode(envelope), 1, retain=True)


def test_a_kill_is_waited_for_by_all_who_believe_they_are_online(meter):
    first, second, third, _ = meter._world.hosts
    for host in (first, second):
        meter.connected(host, 0)
    second.path.black = True  # half-open: it does not know
    assert meter.kill_believed_ns(0.99) is None
    meter.gateway_published(publish("kill", KillList(version=1)), 0)
    for host, at in ((first, 30), (first, 60), (third, 40)):
        meter.noted(host, Note(NoteKind.KILL_OBEYED, 1), at)
    meter._world.kernel.now = 90 * SECOND
    assert meter.kill_believed_ns(0.5) == 30, "the one that heard it, the first time"
    assert meter.kill_believed_ns(0.99) == 90 * SECOND, "the one that did not waits still"
    meter.noted(second, Note(NoteKind.KILL_OBEYED, 1), 50 * SECOND)
    assert meter.kill_believed_ns(0.99) == 50 * SECOND


def test_a_kill_is_timed_for_those_who_could_hear_it(meter):
    here, late, dark, _ = meter._world.hosts
    for host in (here, dark):
        meter.connected(host, 10)
    meter.gateway_published(publish("kill", KillList(version=1)), 100)
    meter.connected(late, 150)
    dark.path.cleared_at = 160
    for host, now in ((here, 130), (late, 200), (dark, 210)):
        meter.noted(host, Note(NoteKind.KILL_OBEYED, 1, 1), now)
    meter.gateway_published(publish("kill", KillList(version=1)), 300)
    (spread,) = meter.spreads.values()
    assert meter.kills.between() == [30]
    assert spread.latencies.between() == [30, 100, 110]
    assert spread.what == "kill list 1"


def test_flags_are_followed_by_segment(meter):
    kiosk, *_, van = meter._world.hosts
    flags = FlagSnapshot(rev=4, segment="kiosk", document=b"{}")
    meter.gateway_published(publish("flags", flags), 100)
    meter.noted(kiosk, Note(NoteKind.FLAGS_TAKEN, 4), 120)
    meter.noted(van, Note(NoteKind.FLAGS_TAKEN, 4), 130)
    (spread,) = meter.spreads.values()
    assert spread.latencies.between() == [20]
    assert len(meter.kills) == 0
