"""A residual that grows with heat convicts the hardware; chance, company and coolness do not."""

from __future__ import annotations

import numpy as np
import pytest

from devicesim.entropy import Entropy
from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.dose import Dose, Response, spearman
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.probes import weigh

LIMITS = CollectLimits()


def dose_of(probes, limits=LIMITS):
    dose = Dose(limits)
    for chip_c, latency, permille in probes:
        dose.add(chip_c, latency, permille)
    return dose


def warm(stream, count, residual, spread=30):
    """Probes of chips of 30 .. 60 degrees; `residual` of degrees above 30."""
    made = []
    for _ in range(count):
        above = stream.integer(spread)
        made.append((30 + above, 8, residual(above, stream)))
    return made


def grows(above, stream):
    return above // 2 + stream.integer(8)


def test_a_residual_that_grows_within_the_tolerance_is_found_and_blamed_on_the_hardware():
    dose = dose_of(warm(Entropy(1).stream("dose"), 60, grows))
    assert max(permille for _, _, permille in dose._probes) <= LIMITS.probe_permille_max + 3
    assert dose.look()
    assert dose.response.dose == "chip_c"
    assert dose.response.rank > 0.5
    assert not dose.look(), "raised twice"
    cohort = Cohort(f"{b'bundle-1'.hex()}/arm/eu")
    cohort.dose = dose
    weigh(cohort, 60, 0, 1, 100, LIMITS)
    assert cohort.probe == "failed", "passes outvote a dose-response"


def test_slowness_is_a_dose_too():
    probes = [(40, 6 + number % 5, 10 * (number % 5)) for number in range(40)]
    dose = dose_of(probes)
    assert dose.look()
    assert dose.response.dose == "latency"


@pytest.mark.parametrize(
    ("residual", "spread", "count"),
    [
        (lambda above, stream: 4, 30, 200),
        (lambda above, stream: stream.integer(30), 30, 200),
        (lambda above, stream: 30 - above, 30, 200),
        (lambda above, stream: above // 10, 30, 400),
        (grows, 5, 200),
        (grows, 30, 29),
    ],
    ids=["constant", "luck", "falls", "too small", "all as warm", "too few"],
)
def test_what_is_no_response_is_not_called_one(residual, spread, count):
    dose = dose_of(warm(Entropy(2).stream("dose"), count, residual, spread))
    assert not dose.look()
    assert not dose.raised


def test_looking_after_every_probe_cries_wolf_less_than_once_in_a_hundred_fleets():
    wolves = 0
    for seed in range(100):
        stream, dose = Entropy(seed).stream("dose.null"), Dose(LIMITS)
        for number in range(300):
            dose.add(30 + stream.integer(30), 8, stream.integer(40))
            if number % 10 == 0:
                dose.look()
        wolves += dose.raised
    assert wolves <= 1, f"{wolves} of 100 healthy cohorts were blamed for heat"


def test_repaired_it_is_forgiven_when_the_hot_failures_are_forgotten():
    limits = CollectLimits(dose_probes_max=64)
    stream = Entropy(3).stream("dose")
    dose = dose_of(warm(stream, 64, grows), limits)
    assert dose.look()
    for chip_c, latency, permille in warm(stream, 64, lambda above, stream: 3):
        dose.add(chip_c, latency, permille)
        dose.look()
    assert not dose.raised
    assert dose.response.p > limits.dose_p_clear


def test_spearman_shares_ranks_among_equals():
    assert spearman(np.array([1.0, 2, 3]), np.array([5.0, 5, 5])) == 0
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 4, 9, 16])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 2, 3]), np.array([1.0, 3, 2, 4])) == pytest.approx(0.9486833)
    assert Response() == ("", 0.0, 1.0)
