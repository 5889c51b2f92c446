"""A dry run says what creating the rollout would do, and does nothing."""

from __future__ import annotations

from collections import Counter

from devicesdk.wire.messages import Link
from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import HOUR, SECOND
from gateway.core import notes
from gateway.core.control.preview import AT_ONCE, NO_WAVE
from gateway.core.effects import Note
from gateway.core.pace import Budget, Pace, read_windows
from gateway.core.stimuli import CreateRollout
from tests_kit.gateway_charts import Chart, arrived, bundle, digest_of, plan

NOW = 1_700_000_000 * SECOND
"""22:13:20 UTC."""
PACE = Pace(
    windows=read_windows(("22:00-23:00",)), budgets=(Budget("site", count=1),), approvals=(1,)
)


def fleet():
    chart = Chart.with_fleet(0)
    for number in range(12):
        labels = {"region": "eu", "hardware": "pi", "site": "abc"[number % 3]}
        if number >= 9:
            labels["tz"] = "UTC+9"
        chart.enroll(f"d{number:03}", labels)
        chart >> arrived(f"d{number:03}", Link(boot_id=1, session=1, online=True))
    return chart


def test_it_names_the_very_devices_that_are_offered_when_it_is_created():
    chart = fleet()
    asked = plan(waves=(0.5, 1.0), pace=PACE)
    before = chart.machine.rollout_views()
    seen = chart.machine.preview(asked, NOW)
    assert chart.machine.rollout_views() == before, "a dry run changed something"
    chart >> CreateRollout(asked)
    offered = [note.subject for note in chart.all(Note, kind=notes.OFFER)]
    at_once = [device.id for device in seen.devices if device.why == AT_ONCE]
    assert sorted(offered) == at_once
    assert seen.refusal == ""
    first, second = seen.waves
    assert (first.size, first.at_once, second.size) == (6, len(offered), 6)
    assert (first.approval, second.approval) == (False, True)
    assert first.at_once + sum(first.waiting.values()) == first.size
    assert set(first.waiting) <= {"window", "budget"}
    assert Counter(device.wave for device in seen.devices) == {0: 6, 1: 6}


def test_it_says_why_a_device_is_left_out():
    chart = fleet()
    chart >> bundle("narrow@1.0.0", hardware=("pi",))
    chart.enroll("mac", {"region": "eu", "hardware": "mac"})
    chart.enroll("us", {"region": "us", "hardware": "pi"})
    chart.have("stranger", running=b"")
    chart >> CreateRollout(plan("bad", "narrow@1.0.0", waves=(0.01, 1.0)))
    (name,) = chart.wants()
    chart.have(
        name, generation=1, running=digest_of("gauge@1.0.0"), state=S.REJECTED, reason="hardware"
    )
    asked = plan("r2", "narrow@1.0.0", selector=(("region", "eu"),))
    seen = {device.id: device for device in chart.machine.preview(asked, NOW).devices}
    assert {device.why for device in seen.values() if device.wave == NO_WAVE} == {
        "no variant fits its hardware or its runtime",
        "its label region is not eu",
        "it is not enrolled",
        "the bundle is in quarantine for it",
    }
    assert seen[name].why == "the bundle is in quarantine for it"
    left_out = chart.machine.preview(asked, NOW).left_out
    assert sum(left_out.values()) == 4


def test_it_tells_which_rollouts_it_would_end():
    chart = fleet() >> CreateRollout(plan("older"))
    assert chart.machine.preview(plan("r2"), NOW).ends == ("older",)
    assert chart.machine.preview(plan("r2", selector=(("site", "a"),)), NOW).ends == ()


def test_what_would_be_refused_is_said_with_the_same_words():
    chart = fleet() >> CreateRollout(plan("r1"))
    for asked in (
        plan("r1", waves=(1.0,)),
        plan("r2", waves=(0.5, 0.2)),
        plan("r3", pace=Pace(zone="Mars/Olympus")),
    ):
        said = chart.machine.preview(asked, NOW)
        chart >> CreateRollout(asked)
        assert chart.all(Note, kind=notes.ROLLOUT_REFUSED)[0].subject == said.refusal
    unknown = chart.machine.preview(plan("r4", "gauge@9.9.9"), NOW)
    assert (
        unknown.refusal == "nothing named gauge@9.9.9 was published yet; the nearest is gauge@1.1.0"
    )
    nobody = chart.machine.preview(plan("r5", selector=(("site", "z"),)), NOW)
    assert nobody.refusal == "no enrolled device is selected and fits"
    assert nobody.left_out == {"its label site is not z": 12}


def test_it_looks_at_the_clock_of_a_scheduled_start():
    chart = fleet()
    later = Pace(start_at_ns=NOW + HOUR, windows=read_windows(("22:00-23:00",)))
    seen = chart.machine.preview(plan(waves=(1.0,), pace=later), NOW)
    assert seen.starts_at_ns == NOW + HOUR
    assert seen.waves[0].at_once == 0
    assert seen.waves[0].waiting == {"window": 12}


def test_devices_come_in_pages():
    chart = fleet()
    names, after = [], ""
    while after is not None:
        page = chart.machine.preview(plan(), NOW, after, 5)
        names += [device.id for device in page.devices]
        after = page.next
    assert names == [f"d{number:03}" for number in range(12)]


def test_a_plan_without_a_pace_offers_its_first_wave_at_once():
    seen = fleet().machine.preview(plan(waves=(0.25, 1.0)), NOW)
    assert [(wave.size, wave.at_once) for wave in seen.waves] == [(3, 3), (9, 0)]
