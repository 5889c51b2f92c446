"""What happens to keys in a timeline: rotations are followed, and what takes the way from root to root away."""

from __future__ import annotations

from devicesdk.agent.notes import NoteKind
from devicesim.world.watch import Watcher
from tests_kit import faulted, worlds

KEYS = "roles: [root, targets, snapshot, timestamp, director, flags]"
ROTATED = [
    "{at: 10m, for: 20m, do: power.cut, target: id=kiosk-0001}",
    f"{{at: 12m, do: keys.rotate, {KEYS}}}",
    f"{{at: 14m, do: keys.rotate, {KEYS}}}",
]
KILL = "flags: [{at: 5m, set: {dial: {percent: 100}}}, {at: 45m, kill: dial}]\n"


class Notes(Watcher):
    """Who noted what."""

    def __init__(self):
        self.seen = []

    def noted(self, host, effect, now):
        self.seen.append((host.device, effect.kind, effect.a, effect.b))

    def of(self, kind):
        return [(device, a, b) for device, seen, a, b in self.seen if seen == kind]


def ran(*timeline, rest=KILL):
    notes = Notes()
    drill, _ = faulted.ran(
        [*ROTATED, *timeline], rest, before=lambda drill: drill.world.watch.add(notes)
    )
    assert worlds.broken(drill) == []
    return drill, notes


def obeyed(notes):
    return sorted(device for device, _, killed in notes.of(NoteKind.KILL_OBEYED) if killed)


def test_who_was_away_walks_from_root_to_root():
    drill, notes = ran()
    assert [a for device, a, _ in notes.of(NoteKind.ROOT_TAKEN) if device == "kiosk-0001"] == [2, 3]
    assert notes.of(NoteKind.ROOT_MISSING) == []
    assert obeyed(notes) == sorted(host.device for host in drill.world.hosts)


def test_without_its_old_roots_a_gateway_is_a_stranger_to_who_was_away():
    drill, notes = ran("{at: 20m, do: keys.tidy}")
    lost = notes.of(NoteKind.ROOT_MISSING)
    assert set(lost) == {("kiosk-0001", 1, 3)}, "only who was away is locked out, and it says so"
    others = sorted(host.device for host in drill.world.hosts if host.device != "kiosk-0001")
    assert obeyed(notes) == others
    assert drill.world.gateway.crashes == 0


def test_what_is_kept_is_enough_for_those_who_were_away_no_longer():
    drill, notes = ran("{at: 20m, do: keys.tidy, keep: 2}")
    assert notes.of(NoteKind.ROOT_MISSING) == []
    assert obeyed(notes) == sorted(host.device for host in drill.world.hosts)


def test_a_gateway_that_is_down_is_tidied_all_the_same_and_stays_down():
    _, notes = ran("{at: 18m, for: 6m, do: gateway.crash}", "{at: 20m, do: keys.tidy}")
    assert set(notes.of(NoteKind.ROOT_MISSING)) == {("kiosk-0001", 1, 3)}


def test_without_roles_there_is_nothing_to_tidy():
    drill, notes = ran("{at: 20m, do: keys.tidy}", rest="trust: keys\n" + KILL)
    assert len(obeyed(notes)) == len(drill.world.hosts)
    assert [said for said in drill.world.skipped if "tidy" in said]
