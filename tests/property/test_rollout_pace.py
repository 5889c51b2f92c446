"""Whatever the timing: no device is offered anything outside its window, or past a budget.

Random scripts of devices that come, go, commit, fail and are labelled anew, of two rollouts with windows and budgets,
of people, restarts from durable rows, and time. After every stimulus each offer in it is held against the wall clock of
Python and against a count of the twins, neither of which is the core's own. At the end the world calms down, and
everybody must have been reached.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire.messages import Link
from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import DAY, HOUR, MINUTE, SECOND
from gateway.adapters.zones import SystemZones
from gateway.core import notes, stimuli
from gateway.core.effects import Note, Persist, Publish
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.pace import Budget, Pace
from gateway.core.stimuli import GatePlan
from gateway.core.windows import read_window
from tests_kit.gateway_charts import Chart, PlainSigner, arrived, bundle, digest_of, factory, plan

CONFIG = GatewayConfig(control=ControlLimits(page_devices=3, retries_max=2))
STARTS = {  # UTC, ms: an ordinary Tuesday, and two days before clocks change in Europe and America
    "plain": 1_700_000_000_000,
    "spring": 1_774_612_800_000,
    "autumn": 1_793_275_200_000,
}
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC+9"]
WINDOWS = [
    (), ("01:00-05:00",), ("Mon-Fri 22:30-02:15",), ("02:10-02:50", "Sat 12:00-18:00"), ("12:00-00:00",),
]  # fmt: skip
DEVICES = {
    f"d{n}": {"site": "abc"[n % 3], "tz": ZONES[n % 4], "region": "eu", "hardware": "pi"}
    for n in range(10)
}
OLD, NEW = digest_of("gauge@1.0.0"), digest_of("gauge@1.1.0")

device = st.sampled_from(list(DEVICES))
paces = st.builds(
    lambda windows, count, approvals, late, after: Pace(
        windows=tuple(map(read_window, windows)),
        zone="Europe/Berlin",
        budgets=() if not count else (Budget("site", count=count), Budget("region", share=0.4)),
        approvals=approvals,
        late_per_hour=late,
        late_after_gate=after,
    ),
    st.sampled_from(WINDOWS),
    st.integers(0, 2),
    st.sampled_from([(), (1,), (0, 1)]),
    st.sampled_from([0, 1, 3]),
    st.booleans(),
)
step = st.one_of(
    st.tuples(st.just("link"), device, st.booleans()),
    st.tuples(st.just("good"), st.integers(0, 9)),
    st.tuples(st.just("bad"), st.integers(0, 9),
              st.sampled_from(["link", "storage", "validation:nan", "expired"])),
    st.tuples(st.just("roll"), st.sampled_from(["r1", "r2"]), paces),
    st.tuples(st.just("verb"), st.sampled_from(["r1", "r2"]),
              st.sampled_from(["pause", "resume", "retry", "trigger-next", "abort-keep"])),
    st.tuples(st.just("decide"), st.sampled_from(["r1", "r2"]), st.booleans()),
    st.tuples(st.just("enroll"), st.sampled_from([*DEVICES, "late0", "late1"]), st.sampled_from("abc"),
              st.sampled_from([*ZONES, "Mars/Olympus"])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("wait"), st.sampled_from([0, MINUTE, 20 * MINUTE, HOUR, 5 * HOUR, DAY])),
)  # fmt: skip

LATE = [f"late{n}" for n in range(6)]
late_step = st.one_of(
    st.tuples(st.just("enroll"), st.sampled_from(LATE), st.sampled_from("abc"), st.sampled_from(ZONES)),
    st.tuples(st.just("link"), st.sampled_from([*LATE, *DEVICES]), st.booleans()),
    st.tuples(st.just("good"), st.integers(0, 9)),
    st.tuples(st.just("bad"), st.integers(0, 9), st.sampled_from(["link", "expired"])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("wait"), st.sampled_from([0, MINUTE, 20 * MINUTE, HOUR, 5 * HOUR])),
)  # fmt: skip


class Story(Chart):
    """A chart whose every offer is held against the wall clock and the budgets."""

    def __init__(self, start):
        super().__init__(self._new())
        self.start_ms, self.rows, self.tokens, self.sessions = STARTS[start], {}, [], {}
        self.paces, self.offer_times = {}, []
        self >> stimuli.Started(self.start_ms) >> stimuli.BrokerUp(session_present=False)
        self >> bundle("gauge@1.0.0") >> bundle("gauge@1.1.0") >> factory()
        for name, labels in DEVICES.items():
            self.enroll(name, labels)
            self.link(name, online=True)

    @staticmethod
    def _new():
        return Gateway(CONFIG, PlainSigner(), PlainSigner(), zones=SystemZones())

    @property
    def utc_s(self):
        return self.start_ms // 1000 + self.now // SECOND

    def __rshift__(self, stimulus):
        super().__rshift__(stimulus)
        offered = []
        for effect in self.left:
            if isinstance(effect, Persist):
                self.rows[effect.table, effect.key] = effect.row
            elif isinstance(effect, Publish) and effect.token:
                self.tokens.append(effect.token)
            elif isinstance(effect, Note) and effect.kind in (notes.OFFER, notes.RETRY):
                offered.append((effect.kind, effect.subject))
        reverted = any(note.kind == notes.REVERT for note in self.all(Note))
        for kind, name in offered:
            self._was_right(kind, name, stimulus, reverted=reverted)
        return self

    def _was_right(self, kind, name, stimulus, *, reverted):
        view = self.twin(name)
        if kind == notes.OFFER:
            self.offer_times.append(self.now)
        pace = self.paces.get(view.rollout)
        if pace is None:
            return
        zone = view.labels.get("tz", pace.zone)
        said = f"{kind} of {name} ({view.labels}) by {view.rollout} after {stimulus}"
        assert on_the_wall(pace.windows, zone, self.utc_s), f"{said}: outside of its window"
        if kind == notes.RETRY or reverted:
            return
        for budget in pace.budgets:
            value = view.labels[budget.label]
            peers = [twin for twin in self.twins() if twin.labels.get(budget.label) == value]
            away = [twin.id for twin in peers if is_away(twin)]
            most = budget.count or max(1, int(budget.share * len(peers)))
            assert len(away) <= most, (
                f"{said}: {away} are away, of {budget.label}={value} {most} may be"
            )

    def twins(self):
        return [view for name in self.known() if (view := self.twin(name)) is not None]

    def known(self):
        return [*DEVICES, *LATE]

    def link(self, name, *, online):
        session = self.sessions.get(name, 0)
        if online:
            session = self.sessions[name] = session + 1
        if session:
            self >> arrived(name, Link(boot_id=1, session=session, online=online))

    def acknowledge(self):
        while self.tokens:
            self >> stimuli.PubAcked(self.tokens.pop(0))

    def restart(self):
        self.machine = self._new()
        stored = [(table, key, row) for (table, key), row in self.rows.items() if row is not None]
        self.machine.restore(stored, self.now)
        self >> stimuli.Started(self.start_ms + self.now // 1_000_000)
        self >> stimuli.BrokerUp(session_present=True)

    def at_work(self, number):
        """One of those who are wanted to run something they do not run; empty when nobody is."""
        names = [view.id for view in self.twins() if view.outcome == "open" and view.generation]
        return names[number % len(names)] if names else ""

    def good(self, name):
        view = self.twin(name)
        if view.wanted:
            running = bytes.fromhex(view.wanted)
            self.have(name, generation=view.generation, running=running, state=S.COMMITTED)


def on_the_wall(windows, zone, utc_s):
    """Whether one of these is open, by Python's own wall clock."""
    if not windows:
        return True
    if zone == "Mars/Olympus":
        return False
    zone = "Etc/GMT-9" if zone == "UTC+9" else zone
    local = datetime.fromtimestamp(utc_s, ZoneInfo(zone)).replace(tzinfo=None)
    for window in windows:
        for days_ago in (0, 1):
            midnight = datetime.combine(local.date(), datetime.min.time()) - timedelta(
                days=days_ago
            )
            begins = midnight + timedelta(minutes=window.begins_min)
            if midnight.weekday() in window.days and begins <= local < begins + timedelta(
                minutes=window.lasts_min
            ):
                return True
    return False


def is_away(view):
    at_work = view.outcome == "open" and view.purpose != "factory" and not view.hold
    return not view.online or at_work


def play(story, action):
    kind, *rest = action
    if kind == "link":
        story.link(rest[0], online=rest[1])
    elif kind == "good":
        if name := story.at_work(rest[0]):
            story.good(name)
    elif kind == "bad":
        number, reason = rest
        name = story.at_work(number)
        if not name:
            return
        state = S.CANCELED if reason == "expired" else S.FAILED
        story.have(
            name, generation=story.twin(name).generation, running=OLD, state=state, reason=reason
        )
    elif kind == "roll":
        name, pace = rest
        gate, waves = GatePlan(quorum=0.9), (0.3, 1.0)
        if name not in story.paces:
            story.paces[name] = pace
            story >> stimuli.CreateRollout(plan(name, pace=pace, gate=gate, waves=waves))
    elif kind == "verb":
        story >> stimuli.SteerRollout(*rest)
    elif kind == "decide":
        story >> stimuli.DecideWave(*rest)
    elif kind == "enroll":
        name, site, zone = rest
        story.enroll(name, {"site": site, "tz": zone, "region": "eu", "hardware": "pi"})
    elif kind == "restart":
        story.restart()
    else:
        story.wait(*rest)
    story.acknowledge()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(list(STARTS)), paces, st.lists(step, min_size=10, max_size=40))
def test_no_offer_outside_a_window_or_past_a_budget(start, pace, script):
    story = Story(start)
    play(story, ("roll", "r1", pace))
    for action in script:
        play(story, action)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(list(STARTS)), paces, st.lists(step, max_size=12))
def test_when_all_is_calm_everybody_is_reached(start, pace, script):
    story = Story(start)
    play(story, ("roll", "r1", pace))
    for action in script:
        if action[0] not in ("roll", "verb", "decide", "bad"):
            play(story, action)
    for name in story.known():
        if story.twin(name) is not None:
            story.enroll(name, {**DEVICES.get(name, DEVICES["d0"])})
            story.link(name, online=True)
    calm(story)
    left = {view.id: view for view in story.twins() if view.labels and view.running != NEW.hex()}
    assert not left, f"{story.rollout()}"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(list(STARTS)),
    paces,
    st.lists(late_step, min_size=5, max_size=30),
)
def test_late_joiners_keep_to_windows_budgets_and_their_brake(start, pace, script):
    story = Story(start)
    play(story, ("roll", "r1", pace))
    calm(story)
    story.offer_times.clear()
    for action in script:
        play(story, action)
    if pace.late_per_hour:
        times = story.offer_times
        for first, later in zip(times, times[pace.late_per_hour :], strict=False):
            assert later - first >= HOUR, f"more than {pace.late_per_hour} within an hour: {times}"
    for name in story.known():
        if story.twin(name) is not None:
            story.link(name, online=True)
    calm(story)
    left = {view.id: view for view in story.twins() if view.labels and view.running != NEW.hex()}
    assert all(view.labels["tz"] == "Mars/Olympus" for view in left.values() if pace.windows), left


def calm(story):
    """Everybody answers, and people approve, until the rollout is through."""
    for _ in range(300):
        if story.rollout().state == "completed" and not story.rollout().late:
            break
        story >> stimuli.DecideWave("r1", approved=True)
        story.wait(HOUR)
        story.acknowledge()
        for view in story.twins():
            if is_away(view):
                story.good(view.id)
                story.acknowledge()
    for _ in range(3):
        for view in story.twins():
            story.good(view.id)
            story.acknowledge()
        story.wait(MINUTE)
