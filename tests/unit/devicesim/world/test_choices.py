"""Decisions are counted once, and who has stepped down is known at any moment."""

from __future__ import annotations

from devicesdk.agent.effects import Note
from devicesdk.agent.notes import NoteKind
from devicesim.world.choices import Decisions, Stepped, wanted
from devicesim.world.hearing import Window
from tests_kit import worlds

POLICY = "choosing: {policy: {rules: [{name: hot, when: {chip_c_min: 70}}, {name: normal}]}}\n"


def world(rest="", count=4):
    fleet = (
        f"  - {{group: kiosk, count: {count}, profile: rpi4-kiosk, link: fcc-dsl}}\n"
        "  - {group: cam, count: 1, profile: jetson-camera, link: fcc-dsl}"
    )
    return worlds.make_world(worlds.scenario_text(rest, fleet=fleet))


def window(seq, boot=1, **rules):
    return Window(boot, seq, 4, rules or None)


def test_a_decision_is_counted_once_however_often_its_window_is_sent():
    made = world()
    decisions = Decisions(made)
    kiosk, cam = made.hosts[0], made.hosts[-1]
    assert decisions.take(kiosk, window(1, hot=2, normal=1)) == {"hot": 2, "normal": 1}
    assert decisions.take(kiosk, window(1, hot=2, normal=1)) == {}
    assert decisions.take(kiosk, window(2)) == {}
    assert decisions.take(kiosk, window(1, boot=2, hot=1)) == {"hot": 1}, "another boot"
    decisions.take(cam, window(1, normal=5))
    assert decisions.by_rule == {
        "hot": {"arm64-neon": 3}, "normal": {"arm64-neon": 1, "arm64-cuda": 5}
    }  # fmt: skip
    assert decisions.total == 9


def test_a_device_has_stepped_down_while_its_last_rule_is_not_in_force():
    made = world(count=3)
    stepped = Stepped(made)
    one, two = made.hosts[0], made.hosts[1]

    def note(host, kind, a=0, b=0):
        stepped.noted(host, Note(kind, a, b), 0)
        return stepped.devices

    assert note(one, NoteKind.POLICY_TAKEN, 3) == 0
    assert note(one, NoteKind.RULE_CHOSEN, 2, -1) == 0
    assert note(one, NoteKind.RULE_CHOSEN, 1, 2) == 1
    assert note(one, NoteKind.RULE_CHOSEN, 0, 1) == 1, "further down is still one device"
    note(two, NoteKind.POLICY_TAKEN, 2)
    assert note(two, NoteKind.RULE_CHOSEN, 0, -1) == 2
    assert stepped.ratio == 0.5
    assert note(two, NoteKind.POLICY_OFF) == 1
    assert note(one, NoteKind.ONLINE) == 1
    stepped.went_off(one, 0)
    assert stepped.devices == 0, "a device that is off has no rule in force"


def test_worlds_without_a_policy_are_not_listened_to():
    assert not wanted(world())
    assert wanted(world(POLICY))
    assert wanted(world("flags: [{at: 1h, policy: {rules: [{name: normal}]}}]\n"))
    assert not wanted(world("flags: [{at: 1h, policy: off}]\n"))
