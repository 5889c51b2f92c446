from __future__ import annotations

import pytest

from devicesdk.sketches import histogram as h
from devicesdk.wire.timebase import HOUR
from gateway.core.collect.cohorts import Cohort, Cohorts
from gateway.core.collect.intake import histograms_of
from gateway.core.collect.judging import Judge, own_drift, proven_p95_ms
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.totals import Totals
from gateway.core.internal import Watching


class Rig:
    """A table of cohorts and sums, fed by (bundle, hardware, latency bin, messages)."""

    def __init__(self, lab) -> None:
        self.lab, self.cohorts, self.sums = lab, Cohorts(16), Totals(20, 256)
        self.judge = Judge(CollectLimits(watches_max=2))

    def feed(self, bundle, hardware, slow, messages=1, region="eu") -> Cohort:
        cohort = self.cohorts.find(bundle, hardware, region)
        assert cohort is not None
        if cohort.slot < 0:
            cohort.slot = self.sums.open_slot()
        histograms = histograms_of(self.lab.telemetry(slow=slow))
        self.sums.fold([(cohort.slot, histograms, 4, 0, -1, 0, 0)] * messages)
        return cohort

    def next_window(self) -> None:
        self.judge.window_closes(self.cohorts.spoke(), self.sums)
        for cohort in self.cohorts.spoke():
            cohort.next_window()
        self.sums.clear()

    def verdicts(self):
        return self.judge.judge(self.cohorts.spoke(), self.sums, self.cohorts.all())


@pytest.fixture
def rig(lab) -> Rig:
    made = Rig(lab)
    made.judge.watch(Watching("r1", lab.CANDIDATE, lab.BUNDLE))
    return made


def test_a_candidate_is_compared_per_hardware_class(lab, rig):
    rig.feed(lab.BUNDLE, "arm", 5, 10)
    rig.feed(lab.BUNDLE, "x86", 5, 10)
    rig.feed(lab.CANDIDATE, "arm", 5, 2, region="eu")
    rig.feed(lab.CANDIDATE, "arm", 12, 2, region="us")
    rig.feed(lab.CANDIDATE, "esp32", 9)
    rig.feed(b"stranger", "arm", 15)
    arm, esp32 = rig.verdicts()
    assert (arm.subject, arm.cohort, arm.frames) == (lab.CANDIDATE, "arm", 16)
    # Bin 12 begins at 45.3 ms, bin 5 ends at 5.7 ms.
    assert arm.latency_p95_ms == pytest.approx(45.25, abs=0.01)
    assert arm.baseline_latency_p95_ms == pytest.approx(5.657, abs=0.01)
    assert (esp32.cohort, esp32.baseline_latency_p95_ms) == ("esp32", 0.0)
    assert 16.0 <= esp32.latency_p95_ms <= 22.7


def test_nothing_is_said_twice(lab, rig):
    rig.feed(lab.CANDIDATE, "arm", 5)
    assert len(rig.verdicts()) == 1
    assert rig.verdicts() == []
    rig.next_window()
    assert rig.verdicts() == [], "closing a window is no news"
    rig.feed(lab.CANDIDATE, "arm", 5)
    [again] = rig.verdicts()
    assert again.frames == 8, "windows since the watch began add up"


def test_watching_the_same_again_goes_on_and_another_begins_anew(lab, rig):
    rig.feed(lab.CANDIDATE, "arm", 5)
    rig.next_window()
    rig.judge.watch(Watching("r1", lab.CANDIDATE, lab.BUNDLE))
    rig.feed(lab.CANDIDATE, "arm", 5)
    assert rig.verdicts()[0].frames == 8
    rig.judge.watch(Watching("r1", lab.CANDIDATE, b"another"))
    assert rig.verdicts()[0].frames == 4


def test_watches_are_bounded_and_the_oldest_goes(lab, rig):
    rig.judge.watch(Watching("r2", b"c2", lab.BUNDLE))
    rig.judge.watch(Watching("r3", b"c3", lab.BUNDLE))
    assert len(rig.judge) == 2
    for bundle in (lab.CANDIDATE, b"c2", b"c3"):
        rig.feed(bundle, "arm", 5)
    assert [judged.subject for judged in rig.verdicts()] == [b"c2", b"c3"]


def test_discharge_is_compared_where_a_watch_asks_for_it(lab, rig):
    assert rig.judge.drains is None
    rig.judge.watch(Watching("r2", lab.CANDIDATE, lab.BUNDLE, drain=True))
    drains = rig.judge.drains
    old = rig.feed(lab.BUNDLE, "arm", 5)
    new = rig.feed(lab.CANDIDATE, "arm", 5)
    for hour in range(3):
        for device in range(20):
            drains.take(device, old, 90 - hour, hour * HOUR)
            drains.take(100 + device, new, 90 - 9 * hour, hour * HOUR)
    silent, asked = rig.verdicts()
    assert silent.drain_percent_h == 0.0, "the first watch did not ask"
    assert asked.drain_percent_h > 3 * asked.baseline_drain_percent_h > 0
    for _ in range(9):
        rig.next_window()
    assert drains.compare((lab.CANDIDATE, "arm"), (lab.BUNDLE, "arm")) == (0.0, 0.0)
    rig.judge.watch(Watching("r2", lab.CANDIDATE, lab.BUNDLE))
    assert rig.judge.drains is None, "nobody asks any more"


def counts(**bins: int) -> list[int]:
    out = [0] * h.LATENCY_BINS
    for name, count in bins.items():
        out[int(name[1:])] = count
    return out


@pytest.mark.parametrize(("new", "old"), [(5, 5), (6, 5), (5, 6)])
def test_a_difference_within_a_bin_is_not_proven(new, old):
    candidate, baseline = counts(**{f"b{new}": 90}), counts(**{f"b{old}": 3})
    new_ms, old_ms = proven_p95_ms(candidate, baseline)
    assert new_ms == old_ms > 0


def test_from_two_bins_apart_the_smallest_difference_is_reported():
    new_ms, old_ms = proven_p95_ms(counts(b7=10), counts(b5=10))
    assert new_ms / old_ms == pytest.approx(2**0.5)
    faster_ms, old_ms = proven_p95_ms(counts(b2=10), counts(b5=10))
    assert faster_ms < old_ms


def test_only_the_slowest_twentieth_decides():
    new_ms, old_ms = proven_p95_ms(counts(b5=97, b15=3), counts(b5=100))
    assert new_ms == old_ms
    new_ms, old_ms = proven_p95_ms(counts(b5=90, b15=10), counts(b5=100))
    assert new_ms > 10 * old_ms


class Fleet:
    """Cohorts on one hardware class, with what they show."""

    def __init__(self, lab) -> None:
        self.lab, self.asked = lab, Watching("r1", lab.CANDIDATE, lab.BUNDLE)

    def cohort(self, bundle, region="eu", drift="none", hardware="arm", **shows):
        made = Cohort(f"{bundle.hex()}/{hardware}/{region}")
        made.drift, made.effect = drift, shows.pop("effect", 0.3)
        for name, value in shows.items():
            setattr(made, name, value)
        return made

    def own(self, *cohorts):
        return own_drift(self.asked, "arm", cohorts)


@pytest.fixture
def fleet(lab) -> Fleet:
    return Fleet(lab)


def test_inputs_that_moved_are_never_the_candidates(lab, fleet):
    old = fleet.cohort(lab.BUNDLE)
    shown = {"drift": "data", "inputs_moved": True, "outputs_moved": True}
    assert fleet.own(old, fleet.cohort(lab.CANDIDATE, **shown)) == ("none", 0.0)


def test_outputs_that_moved_alone_are_unless_others_share_it_or_nobody_can_tell(lab, fleet):
    shown = {"drift": "data", "outputs_moved": True}
    new = fleet.cohort(lab.CANDIDATE, **shown)
    assert fleet.own(fleet.cohort(lab.BUNDLE), new) == ("data", 0.3)
    assert fleet.own(fleet.cohort(lab.BUNDLE, **shown), new) == ("none", 0.0)
    assert fleet.own(fleet.cohort(lab.BUNDLE, "us"), new) == ("none", 0.0)
    new.spoke = 7
    assert fleet.own(fleet.cohort(lab.BUNDLE), new) == ("none", 0.0), "the old one is gone"
    elsewhere = fleet.cohort(lab.CANDIDATE, hardware="x86", **shown)
    assert fleet.own(fleet.cohort(lab.BUNDLE), elsewhere) == ("none", 0.0)


def test_a_probe_that_fails_is_unless_the_old_bundles_fails_too(lab, fleet):
    failed = fleet.cohort(lab.CANDIDATE, drift="hardware", probe="failed")
    assert fleet.own(failed) == ("hardware", 0.3)
    assert fleet.own(fleet.cohort(lab.BUNDLE, probe="passed"), failed) == ("hardware", 0.3)
    assert fleet.own(fleet.cohort(lab.BUNDLE, probe="failed"), failed) == ("none", 0.0)


def test_a_raw_watch_blames_the_candidate_for_the_weather(lab, fleet):
    shown = {"drift": "data", "inputs_moved": True, "outputs_moved": True}
    everybody = [fleet.cohort(lab.BUNDLE, **shown), fleet.cohort(lab.CANDIDATE, **shown)]
    assert fleet.own(*everybody) == ("none", 0.0)
    raw = Watching("r1", lab.CANDIDATE, lab.BUNDLE, raw=True)
    assert own_drift(raw, "arm", everybody) == ("data", 0.3)
    calm = [fleet.cohort(lab.BUNDLE, **shown), fleet.cohort(lab.CANDIDATE)]
    assert own_drift(raw, "arm", calm) == ("none", 0.0), "what others show is not the candidate's"


def test_a_candidate_without_latency_is_not_judged(lab, rig):
    cohort = rig.feed(lab.CANDIDATE, "arm", 5, 0)
    histograms = histograms_of(lab.telemetry(latency=b""))
    rig.sums.fold([(cohort.slot, histograms, 4, 0, -1, 0, 0)])
    assert rig.verdicts() == []
