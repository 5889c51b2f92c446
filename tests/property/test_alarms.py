"""Alarms, whatever is seen in whatever order, with restarts and people in between.

Held for every story: what sinks are told of an alarm begins, may get worse or be acknowledged, and ends; begins and ends
alternate; nothing is raised that was not bad for its time and nothing cleared that was not calm for its time; what flaps
is told the less the longer it does; a restart changes nothing that is durable; and a gateway that dies between any two
effects tells each of it once.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire.timebase import MS, SECOND
from gateway.core import stimuli
from gateway.core.alarms.alarms import Alarms
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rows import ALARM, DELIVERY, State
from gateway.core.alarms.rules import OFFLINE, ROLLOUT_HALTED
from gateway.core.effects import Persist
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import Reading
from tests_kit.gateway_charts import Loop, bundle, digest_of, factory, plan

LIMITS = AlarmLimits(
    look_ns=SECOND, offline_ns=3 * SECOND, calm_ns=2 * SECOND, calm_ns_max=16 * SECOND, flap_ns=10 * SECOND,
    refresh_ns=5 * SECOND, webhook=True, mqtt=True,
)  # fmt: skip
WALL_MS = 1_790_000_000_000
FINE, BETWEEN, BAD, WORSE = 3, 15, 30, 70


class Story:
    """A machine whose rows are durable, and everything that sinks were told."""

    def __init__(self):
        self.rows, self.told, self.seen, self.now = {}, [], [], 0
        self.wake()

    def wake(self):
        self.machine = Alarms(LIMITS)
        self.machine.restore([(table, key, row) for (table, key), row in self.rows.items()])
        self.tell(stimuli.Started(WALL_MS + self.now // MS))
        self.tell(stimuli.BrokerUp(session_present=True))

    def tell(self, stimulus):
        self.keep(self.machine.handle(stimulus, self.now))

    def look(self, value):
        self.seen.append(value)
        self.keep(self.machine.look({OFFLINE: [Reading("fleet", value)]}, self.now))
        self.machine.validate()
        self.now += SECOND

    def keep(self, batch):
        for effect in batch:
            if not isinstance(effect, Persist):
                continue
            self.rows[effect.table, effect.key] = effect.row
            if effect.table == DELIVERY and effect.row is not None:
                event = msgspec.json.decode(effect.row.payload)
                self.told.append((event["data"]["id"], event["type"].partition(".")[2], len(self.seen), event["id"]))  # fmt: skip

    @property
    def open(self):
        return [one for one in self.machine.views() if one.state != "cleared"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([FINE, BETWEEN, BAD, WORSE]), st.integers(1, 8)),
        st.sampled_from(["restart", "acknowledge", "silence", "unsilence"]),
    ),
    max_size=40,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(STEPS)
def test_every_beginning_has_one_end_and_nothing_comes_of_itself(steps):
    story, restarts = Story(), []
    for step in steps:
        if step == "restart":
            before = story.machine.views()
            story.wake()
            restarts.append(len(story.seen))
            assert story.machine.views() == before, "a restart forgot something"
        elif step == "acknowledge":
            for one in story.open:
                story.tell(stimuli.AcknowledgeAlarm(one.id, "ann"))
        elif isinstance(step, str):
            for one in story.open:
                span = 20 * SECOND if step == "silence" else 0
                story.tell(stimuli.SilenceAlarm(one.id, span, "ann"))
        else:
            value, count = step
            for _ in range(count):
                story.look(value)
    for _ in range(60):
        story.look(FINE)
    assert story.open == [], "it has been well for a minute"
    check_the_telling(story)
    check_the_times(story, restarts)


def check_the_telling(story):
    by_alarm = {}
    for alarm, change, _, _ in story.told:
        by_alarm.setdefault(alarm, []).append(change)
    for alarm, changes in by_alarm.items():
        ends = [change for change in changes if change in ("raised", "cleared")]
        assert ends == ["raised", "cleared"] * (len(ends) // 2), f"alarm {alarm}: {changes}"
        assert changes[0] == "raised" or changes[0] == "escalated", f"alarm {alarm}: {changes}"
        assert changes[-1] == "cleared", f"alarm {alarm}: {changes}"
    ids = [event for *_, event in story.told]
    assert ids == sorted(set(ids)), "ids of events repeat or go back"


def check_the_times(story, restarts):
    """What was seen just before each change justifies it."""
    for _, change, place, _ in story.told:
        seen = story.seen[:place]
        if change == "cleared":
            calm = seen[-1 - LIMITS.calm_ns // SECOND :]
            assert set(calm) == {FINE}, f"cleared after {seen[-8:]}"
        elif change == "raised" and not any(place - 25 <= at <= place for at in restarts):
            # (Told at the end of a silence, it was raised earlier: it holds at least.)
            assert seen[-1] in (BAD, WORSE, BETWEEN), f"raised after {seen[-8:]}"


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(4, 9), st.integers(1, 9), st.integers(10, 40))
def test_whatever_flaps_is_told_the_less_the_longer_it_does(bad, fine, rounds):
    story = Story()
    for _ in range(rounds):
        for _ in range(bad):
            story.look(BAD)
        for _ in range(fine):
            story.look(FINE)
    raised = sum(change == "raised" for _, change, _, _ in story.told)
    # Calm must last 2, 4, 8, then 16 s, which it never does.
    assert raised <= 4, f"{raised} times in {rounds} rounds of {bad} s bad and {fine} s fine"


OLD, POISON, GOOD = "gauge@1.0.0", "gauge@1.1.0", "gauge@1.2.0"
CONFIG = GatewayConfig(
    control=ControlLimits(page_devices=2, outbox_in_flight_max=2),
    alarms=AlarmLimits(look_ns=4 * SECOND, calm_ns=8 * SECOND, webhook=True, mqtt=True),
)


def tell(fuse):
    """A poisoned rollout halts; then a good one takes its place."""
    loop = Loop(CONFIG, fuse)
    loop.start()
    for name in (OLD, POISON, GOOD):
        loop.ask(bundle(name))
    loop.ask(factory(OLD))
    for number in range(5):
        loop.add_device(f"d{number}", digest_of(OLD), {digest_of(POISON): "trial"})
    loop.run(5 * SECOND)
    loop.ask(stimuli.CreateRollout(plan("r1", POISON, waves=(0.8, 1.0))))
    loop.run(60 * SECOND)
    loop.ask(stimuli.CreateRollout(plan("r2", GOOD, waves=(0.5, 1.0), soak_ns=5 * SECOND)))
    loop.run(120 * SECOND)
    return loop


def check(loop, story):
    (row,) = [row for (table, _), row in loop.rows.items() if table == ALARM]
    assert (row.kind, row.subject, row.state, row.count) == (
        ROLLOUT_HALTED, "r1", State.CLEARED, 1,
    ), story  # fmt: skip
    waiting = [row for (table, _), row in sorted(loop.rows.items()) if table == DELIVERY]
    told = [msgspec.json.decode(one.payload)["type"] for one in waiting]
    assert told == ["alarm.raised", "alarm.cleared"], story
    stands = msgspec.json.decode(loop.retained[f"fd/main/a/{ROLLOUT_HALTED}/{row.number}"])
    assert (stands["type"], stands["data"]["state"]) == ("alarm.cleared", "cleared"), story


def test_a_halted_rollout_is_an_alarm_until_another_takes_its_place():
    check(tell(fuse=0), "without a crash")


@pytest.mark.parametrize("part", range(4))
def test_a_gateway_that_dies_between_any_two_effects_tells_an_alarm_once(part):
    points = tell(fuse=0).points
    for fuse in range(1 + part, points + 1, 4):
        loop = tell(fuse)
        assert loop.crashes == 1
        check(loop, f"it died at point {fuse} of {points}")
