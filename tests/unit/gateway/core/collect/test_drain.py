import pytest

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.drain import KEPT, Drains

OLD, NEW = b"before..", b"after..."


def cohort(bundle):
    return Cohort(f"{bundle.hex()}/pi/eu")


def discharge(drains, bundle, per_hour, *, devices=20, hours=2, first=0, start=90.0, now=0):
    """Devices that lose so much charge, spread so that each point falls at another instant."""
    group = cohort(bundle)
    for step in range(int(hours * 4) + 1):
        for device in range(devices):
            charge = start - per_hour * step / 4 - device / devices
            drains.take(first + device, group, int(charge), now + step * 15 * MINUTE)


def compared(drains):
    return drains.compare((NEW, "pi"), (OLD, "pi"))


def test_nothing_is_said_before_there_are_hours_enough():
    drains = Drains()
    discharge(drains, OLD, 1.0)
    discharge(drains, NEW, 9.0, devices=2, first=100)
    assert compared(drains) == (0.0, 0.0)


def test_the_same_rate_is_no_difference():
    drains = Drains()
    discharge(drains, OLD, 2.0)
    discharge(drains, NEW, 2.0, first=100)
    mine, theirs = compared(drains)
    assert mine == theirs > 2.0


def test_a_difference_is_reported_no_larger_than_it_is():
    drains = Drains()
    discharge(drains, OLD, 2.0)
    discharge(drains, NEW, 12.0, first=100)
    mine, theirs = compared(drains)
    assert 2.0 < theirs < mine < 12.0
    assert 2.0 < mine / theirs < 6.0


@pytest.mark.parametrize(
    "charges", [(50, 60, 70, 80), (100, 100, 100, 100)], ids=["charging", "full"]
)
def test_a_charger_is_no_battery(charges):
    drains = Drains()
    for step, charge in enumerate(charges):
        for device in range(60):
            drains.take(device, cohort(NEW), charge, step * HOUR)
            drains.take(100 + device, cohort(OLD), 90 - step, step * HOUR)
    assert compared(drains) == (0.0, 0.0)


def test_a_switch_of_bundles_belongs_to_neither():
    drains = Drains()
    for device in range(60):
        drains.take(device, cohort(OLD), 90, 0)
        drains.take(device, cohort(NEW), 40, HOUR)
        drains.take(device, cohort(NEW), 40, 2 * HOUR)
        drains.take(100 + device, cohort(OLD), 90, 0)
        drains.take(100 + device, cohort(OLD), 89, HOUR)
    mine, theirs = compared(drains)
    assert mine == theirs, "the 50 points lost around the switch were blamed on the candidate"


def test_good_hours_excuse_nothing_and_bad_ones_pass():
    drains = Drains()
    discharge(drains, OLD, 1.0, hours=1)
    discharge(drains, NEW, 30.0, first=100, hours=1)
    assert compared(drains)[0] > compared(drains)[1]
    for _ in range(KEPT + 1):
        drains.window_closes()
    assert compared(drains) == (0.0, 0.0)


def test_one_device_cannot_empty_its_battery_again_and_again():
    drains = Drains()
    discharge(drains, OLD, 2.0)
    discharge(drains, NEW, 2.0, first=100)
    honest = compared(drains)
    for second in range(400):
        drains.take(200, cohort(NEW), 99 * (second % 2 == 0), second * SECOND)
    assert honest[0] == honest[1]
    mine, theirs = compared(drains)
    assert mine < 3 * theirs, f"one device of 21 made it look like {mine} % an hour for all"
    for second in range(400):
        drains.take(300, cohort(OLD), 99 * (second % 2 == 0), second * SECOND)
    assert compared(drains)[1] < 10.0, "one device hides how fast a candidate empties batteries"
