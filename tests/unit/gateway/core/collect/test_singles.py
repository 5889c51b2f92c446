"""Devices that leave their habit alone, and cohorts that leave it together."""

from __future__ import annotations

import numpy as np
import pytest

from devicesdk.wire.timebase import DAY
from devicesim.entropy import Entropy
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.singles import NAMES, Singles

DEVICES = np.arange(40)
DAILY = CollectLimits(window_ns=DAY, sensor_windows_min=8, sensor_windows=3)


class Cohort:
    def __init__(self, limits=DAILY, seed=4) -> None:
        self.singles, self._stream = Singles(limits), Entropy(seed).stream("singles")
        self.levels = np.array([[self._stream.uniform(0.2, 0.6) for _ in NAMES] for _ in DEVICES])

    def window(self, shift=0.0, device=None, home=0):
        noise = [[self._stream.normal(0.0, 0.02) for _ in NAMES] for _ in DEVICES]
        ranks = self.levels + np.array(noise)
        ranks[slice(None) if device is None else device, 2] += shift
        return self.singles.window(home, DEVICES, ranks)

    def learn(self, windows=12):
        for _ in range(windows):
            out, _ = self.window()
            assert out == []
        return self


def test_one_device_that_leaves_its_habit_is_singled_out_after_some_windows():
    cohort = Cohort().learn()
    told = [cohort.window(0.3, device=5)[0] for _ in range(4)]
    assert told == [[], [], [(5, "feature0")], [(5, "feature0")]]


def test_it_is_forgiven_as_slowly():
    cohort = Cohort().learn()
    for _ in range(5):
        cohort.window(0.3, device=5)
    told = [bool(cohort.window()[0]) for _ in range(4)]
    assert told == [True, True, False, False]


def test_nightfall_is_nobodys_fault():
    cohort = Cohort().learn()
    assert all(cohort.window(0.3)[0] == [] for _ in range(5))


def test_nobody_stands_out_without_a_habit_or_company():
    new = Cohort()
    assert all(new.window(0.3, device=5)[0] == [] for _ in range(5))
    small = Cohort(
        CollectLimits(window_ns=DAY, sensor_windows_min=8, sensor_devices_min=41)
    ).learn()
    assert all(small.window(0.3, device=5)[0] == [] for _ in range(5))


def test_another_bundle_is_another_habit():
    cohort = Cohort().learn()
    assert all(cohort.window(0.3, device=5, home=1)[0] == [] for _ in range(5))


def test_a_common_change_is_sure_although_devices_differ():
    cohort = Cohort().learn()
    _, changes = cohort.window(0.04)
    moved = next(change for change in changes if change.name == "feature0")
    assert moved.p < 1e-6
    assert moved.effect == pytest.approx(0.02, rel=0.5)
    assert min(change.p for change in changes if change.name != "feature0") > 0.001


def test_within_a_day_the_hour_is_no_change():
    hourly = CollectLimits(window_ns=DAY // 24, sensor_windows_min=8)
    assert Cohort(hourly).learn().window(0.3)[1] == []
