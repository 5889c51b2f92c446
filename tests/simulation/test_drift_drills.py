"""The three drills of drift, with the mechanism taken away: each must then fail, or say something else.

As shipped they are held to `scenarios/expected` (test_scenarios.py).
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from devicesim.rehearse import Rehearsal, open_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
NEVER = "telemetry.probes=365d"
CLEAN = "timeline.dust.what=dim(0)"


@functools.cache
def lived(name, *overrides):
    file = SCENARIOS / f"{name}.yaml"
    return Rehearsal(open_scenario(file, overrides), file).run()


def told(record):
    """(verdict, region, device) of all that was ever said."""
    return sorted((row.verdict, row.cohort.split()[-1], row.device) for row in record.drifts)


def broken(record):
    return {check.name for check in record.checks if check.held is False}


def state(record, rollout):
    return next(row.state for row in record.rollouts if row.id == rollout)


class TestKernelFault:
    """220 devices, a quarter of them here; the fault is on x86 alone."""

    NAME, SMALL = "int8-kernel-fault", "scale=.25"

    def test_only_the_class_that_computes_wrongly_is_told_so(self):
        record = lived(self.NAME, self.SMALL)
        assert told(record) == [("hardware", "east", ""), ("hardware", "west", "")]
        assert {row.cohort.split()[1] for row in record.drifts} == {"x86-avx2"}
        assert {row.histogram for row in record.drifts} == {"golden probe"}

    def test_its_kit_refuses_the_release_there_and_it_goes_on_elsewhere(self):
        record = lived(self.NAME, self.SMALL)
        assert (state(record, "r1"), state(record, "r2")) == ("completed", "halted")
        (refused,) = [row for row in record.rollouts if row.id == "r2"]
        assert sum(wave.committed for wave in refused.waves) == 0

    def test_without_the_fault_the_same_release_passes_there_and_nobody_is_told_anything(self):
        record = lived(self.NAME, self.SMALL, "timeline.bad-library.at=23h59m")
        assert told(record) == []
        assert (state(record, "r1"), state(record, "r2")) == ("completed", "completed")

    def test_without_probes_nobody_knows_that_it_is_the_hardware(self):
        record = lived(self.NAME, self.SMALL, NEVER)
        assert "hardware" not in {row.verdict for row in record.drifts}
        assert any("hardware within" in name for name in broken(record))


@pytest.mark.slow
class TestLight:
    """120 gauge readers; here without the remedy. What the checks say of that, the scenario
    seasonal-light-drift-no-release says in CI."""

    NAME = "seasonal-light-drift"

    def test_without_the_dark_seasons_release_it_stays(self):
        record = lived(self.NAME, "rollouts.winter.bundle=gauge@1.0.0")
        assert ("data", "north", "") in told(record)
        assert not any(region == "south" for _, region, _ in told(record))
        assert record.drifts[-1].end_s is None, "nothing has changed the light or the baseline"
        assert "drift_data == 0" in broken(record)


class TestLens:
    """60 gauge readers in two halls."""

    NAME = "lens-haze-one-device"

    def test_all_lenses_of_a_hall_are_no_single_sensors(self):
        whole = [f"timeline.{what}.target=region=north" for what in ("haze", "dust")]
        record = lived(self.NAME, *whole)
        assert told(record) == [("data", "north", "")]

    def test_a_lens_that_is_all_but_clean_is_not_singled_out(self):
        assert told(lived(self.NAME, "timeline.haze.what=haze(.02)", CLEAN)) == []

    def test_a_dial_in_the_dark_is_told_by_what_the_dust_takes(self):
        """At seed 1 its pictures lie in the lowest bin of contrast from the beginning."""
        assert told(lived(self.NAME, "seed=1", CLEAN)) == []
        assert told(lived(self.NAME, "seed=1")) == [("sensor", "north", "reader-0007")]
