"""A failed check names its root cause in ten lines, as somebody reads them at three in the morning.

Each case is a run that fails: with a bug planted, or with a check that asks for too much. Its explanation is held
against a golden text in which numbers are blanked (they are the seed's business), and the words in which the root
cause is named are asserted by themselves, so that a golden text that was made anew by mistake still cannot lose them.
Make the golden texts anew with ``EXPLANATIONS=write pytest tests/simulation/test_explanations.py``.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from devicesdk.agent.backoff import Backoff
from devicesdk.agent.report import Report
from devicesdk.agent.session import Session
from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.explain import Again, explain, questions_of, worth_it
from devicesim.models.battery import Battery
from devicesim.report.record import EXPLANATION_LINES_MAX, Venue
from devicesim.scenario import load
from devicesim.world.assemble import Stock
from devicesim.world.broker.delivery import Delivery
from devicesim.world.connection import Connection
from devicesim.world.run_record import Circumstances, build_record
from gateway.core.control import strata
from gateway.core.control.rollouts import Rollouts
from tests_kit import worlds

GOLDEN = Path(__file__).parents[1] / "golden" / "explanations"
POISONED = "  - {id: gauge, version: 1.2.0, path: models/gauge-poisoned/1.2.0}\n"
RESTART = "timeline: [{at: 30m, for: 20m, do: broker.restart}]\n"
COLD = (
    "  - {group: van, count: 6, profile: handheld, link: fcc-dsl, vary: {ambient_c: -15, soc0: .5}}"
)


def rollout(bundle="1.1.0", **more):
    plan = {"waves": "[100%]", "soak": "1m", "at": "30m", **more}
    rest = ", ".join(f"{key}: {value}" for key, value in plan.items())
    return f"rollouts: [{{id: r1, bundle: gauge@{bundle}, {rest}}}]\n"


def nothing(patch):
    """No bug: the check asks for too much."""


def broker_forgets_what_it_should_queue(patch):
    patch.setattr(Delivery, "_queue", lambda self, session, message: None)


def device_says_it_runs_what_is_wanted(patch):
    compose = Report._compose

    def boast(self):
        have, want = compose(self), self._books.want
        return have if want is None else replace(have, running=want.manifest, trial=False)

    patch.setattr(Report, "_compose", boast)


def first_wave_is_everybody(patch):
    patch.setattr(strata, "cap", lambda share, population: population)


def gateway_tells_nobody_of_a_halt(patch):
    patch.setattr(Rollouts, "brake", lambda self, rollout, brake, out: None)


def everybody_waits_alike(patch):
    def alike(self, dice):
        self.losses += 1
        return min(2**self.losses, 60) * SECOND

    patch.setattr(Backoff, "next", alike)


def keep_alive_is_forgotten(patch):
    patch.setattr(Connection, "silence_ends_at", lambda self, now: now + HOUR)


def charger_ignores_the_cold(patch):
    current = Battery.charging_current
    patch.setattr(
        Battery, "charging_current", lambda self, watts, temp: current(self, watts, max(temp, 20.0))
    )


def back_off_timer_is_lost(patch):
    """After its third loss in a row a device waits for ever."""
    wait = Session._wait

    def forgetful(self, now, pause):
        wait(self, now, 10 * HOUR if self._backoff.losses > 3 else pause)

    patch.setattr(Session, "_wait", forgetful)


class Case(NamedTuple):
    """A run that fails, the check that it fails by, and the words that must be in its explanation."""

    name: str
    check: str
    plant: object
    rest: str
    words: tuple
    more: tuple = ()


CASES = [
    Case(
        "message-lost", "conservation", broker_forgets_what_it_should_queue,
        rollout() + "timeline: [{at: 20m, for: 30m, do: power.cut, target: 'share(all, 0%..50%)'}]\n",
        ("leg broker", "vanished", "was offered the update", "power.cut (lab.yaml:12)"),
    ),
    Case(
        "false-success", "no_false_success", device_says_it_runs_what_is_wanted,
        rollout() + "timeline: [{at: 29m, for: 20m, do: bandwidth, rate: 4kbit/s, target: all}]\n",
        ("expected its report to name what it runs", "Rollout r1 was created", "(lab.yaml:11)", "was offered"),
    ),
    Case(
        "wave-cap-broken", "wave_cap", first_wave_is_everybody, rollout(waves="[20%, 50%, 100%]", soak="5m"),
        ("Wave # of rollout r1 opened for # more devices", "at the gateway"),
    ),
    Case(
        "halt-ignored", "halt_holds", gateway_tells_nobody_of_a_halt, POISONED + rollout("1.2.0", jitter="20m"),
        ("found nobody told the device", "A rollout was halted after # blamed failures"), (("count", 30),),
    ),
    Case(
        "retries-in-step", "bounded_retry", everybody_waits_alike, RESTART,
        ("their back-offs run in step", "broker.restart (lab.yaml:11) begins", "each in vain: refused"),
        (("count", 20),),
    ),
    Case(
        "dead-link", "dead_link_noticed", keep_alive_is_forgotten,
        "timeline: [{at: 20m, for: 30m, do: partition, target: 'share(all, 0%..50%)'}]\n",
        ("partition (lab.yaml:11) begins", "could not be reached any more: packets vanish"),
    ),
    Case(
        "energy-off", "energy", charger_ignores_the_cold, "timeline: [{at: 5m, do: plug, target: all}]\n",
        ("found it at -", "First bad at +0:05:00, known at +1:00:00", "plug (lab.yaml:11) begins on # devices"),
        (("fleet", COLD),),
    ),
    Case(
        "stuck-device", "stuck == 0", back_off_timer_is_lost,
        RESTART + "checks: {finally: [{stuck: '== 0'}]}\n",
        ("broker.restart (lab.yaml:11) begins", "waits 10 h", "all looked at went the way of"),
    ),
    Case(
        "late-reconnect", "online_ratio >= 99% within 1m after broker.restart", nothing,
        RESTART + "checks: {eventually: [{online_ratio: '>= 99%', within: 1m, after: broker.restart}]}\n",
        ("broker.restart (lab.yaml:11) begins", "each in vain: refused", "all looked at went the way of"),
        (("count", 20),),
    ),
    Case(
        "halted", "halted == 0", nothing,
        POISONED + rollout("1.2.0", waves="[50%, 100%]") + "checks: {finally: [{halted: '== 0'}]}\n",
        ("First bad at +0:31:", "Rollout r1 was created", "rolled generation # back by itself",
         "A rollout was halted after # blamed failures"), (("count", 30),),
    ),
    Case(
        "deaf-device", "stuck == 0", nothing,
        "agent: {resubscribe: never}\n" + rollout()
        + "timeline: [{at: 20m, for: 5s, do: broker.restart, lose_sessions: true}, {at: 90m, for: 5s, do: broker.restart}]\n"
        "checks: {finally: [{stuck: '== 0'}]}\n",
        ("broker.restart (lab.yaml:13) begins", "in a new session", "does not subscribe again, and hears nothing"),
        (("duration", "3h"),),
    ),
    Case(
        "locked-out", "stuck == 0", nothing,
        rollout(at="1h")
        + "timeline: [{at: 10m, for: 40m, do: power.cut, target: 'id=kiosk-0001'}, {at: 15m, do: keys.rotate, roles: [root, director]},"
        " {at: 20m, do: keys.rotate, roles: [root]}, {at: 30m, do: keys.tidy}]\n"
        "checks: {finally: [{stuck: '== 0'}]}\n",
        ("power.cut (lab.yaml:12) begins", "keys.tidy (lab.yaml:12) begins", "trusts root 1, hears of root 3, and cannot"),
        (("duration", "3h"),),
    ),
]  # fmt: skip


def explained(case, folder):
    """Run a case and explain it; returns record and the row in question."""
    more = {"count": 6, "duration": "80m", **dict(case.more)}
    text = worlds.scenario_text(case.rest, **more)
    drill = worlds.make_drill(text)
    digest = drill.world.run()
    record = build_record(
        drill.world, drill.meter, drill.recorder, drill.checks,
        trace_digest=digest, around=Circumstances(),
    )  # fmt: skip
    file = folder / "lab.yaml"
    file.write_text(text)
    profiles, links = worlds._files()
    stock = Stock(profiles, links, worlds._sources(text))
    told = explain(record, Again(load(text, (), None), file, stock, record.seed))
    return record, told, next(row for row in told.checks if row.name == case.check)


def blanked(lines):
    """Numbers are the seed's: instants, counts and ids become #, columns one space."""
    text = "\n".join(line.rstrip() for line in lines)
    text = re.sub(r"kiosk-\d+|van-\d+", "DEVICE", text)
    text = re.sub(r"\+\d+:\d\d:\d\d(\.\d+)?", "+T", text)
    text = re.sub(r"(?<![\w@.:-])\d[\d,]*(\.\d+)?", "#", text)
    return re.sub(r"[ \t]+", " ", text) + "\n"


def assert_short_of_a_second_run(record, case):
    """There are a few lines all the same, and whether there is a second run depends on the run alone."""
    row = next(row for row in record.checks if row.name == case.check)
    assert 2 <= len(row.explanation) <= EXPLANATION_LINES_MAX
    assert row.explanation[0] == row.story
    assert row.explanation[1].startswith("First bad at +")
    assert worth_it(record)
    assert len(questions_of(record)) >= 1
    assert not worth_it(replace(record, events=10**9))
    assert not worth_it(replace(record, venue=Venue(mode="real")))
    assert not worth_it(replace(record, checks=[]))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_failed_check_names_its_root_cause_in_ten_lines(case, monkeypatch, tmp_path):
    case.plant(monkeypatch)
    record, _, row = explained(case, tmp_path)
    assert row.held is False
    text = "\n".join(row.explanation)
    assert len(row.explanation) <= EXPLANATION_LINES_MAX, text
    marked = re.sub(r"(?<![\w@.:+-])\d[\d,]*(\.\d+)?(?! h)", "#", text)
    for words in case.words:
        assert words in text or words in marked, f"{words!r} is not in:\n{text}"
    assert row.culprits
    assert row.first_bad_ns is not None
    assert row.first_bad_ns <= record.virtual_s * SECOND
    assert_short_of_a_second_run(record, case)
    golden = GOLDEN / f"{case.name}.txt"
    if os.environ.get("EXPLANATIONS") == "write":
        golden.write_text(blanked(row.explanation))
    assert blanked(row.explanation) == golden.read_text(), f"{case.name} reads otherwise:\n{text}"


def test_a_run_that_is_not_the_same_is_refused(tmp_path):
    case = CASES[9]
    record, _, _ = explained(case, tmp_path)
    text = (tmp_path / "lab.yaml").read_text()
    profiles, links = worlds._files()
    again = Again(
        load(text, (), None),
        tmp_path / "lab.yaml",
        Stock(profiles, links, worlds._sources(text)),
        8,
    )
    with pytest.raises(RuntimeError, match="expected the run again"):
        explain(record, again)
