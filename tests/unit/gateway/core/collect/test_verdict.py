from __future__ import annotations

import pytest

from gateway.core.collect.verdict import Finding, cause, combine


def cohort(hardware="arm", region="eu", shifted=True, probe="unknown", bundle=b"b") -> Finding:
    return Finding(bundle, hardware, region, False, shifted, probe)


@pytest.mark.parametrize(
    ("probe", "shifted", "verdict"),
    [
        ("failed", False, "hardware"),
        ("failed", True, "hardware"),
        ("passed", True, "data"),
        ("passed", False, "none"),
        ("unknown", False, "none"),
        ("unknown", True, "data"),
    ],
)
def test_golden_probes_tell(probe, shifted, verdict):
    finding = cohort(probe=probe, shifted=shifted)
    assert cause(finding, [finding]) == verdict


@pytest.mark.parametrize(
    ("probe", "verdict"), [("failed", "both"), ("passed", "data"), ("unknown", "data")]
)
def test_only_inputs_witness_for_the_data(probe, verdict):
    moved = cohort(probe=probe)._replace(inputs_moved=True)
    assert cause(moved, [moved]) == verdict


def test_single_devices_are_a_sensors_fault_unless_the_cohort_is_shifted():
    alone = cohort(shifted=False, probe="passed")._replace(singled_out=True)
    assert cause(alone, [alone]) == "sensor"
    assert cause(alone._replace(outputs_moved=True), [alone]) == "data"
    assert cause(alone._replace(probe="failed"), [alone]) == "hardware"


def test_a_shift_of_one_hardware_class_everywhere_is_the_hardwares():
    fleet = [
        cohort("arm", "eu"),
        cohort("arm", "us"),
        cohort("x86", "eu", shifted=False),
        cohort("x86", "us", shifted=False),
        cohort("x86", "eu", shifted=True, bundle=b"other"),
    ]
    assert [cause(one, fleet) for one in fleet] == ["hardware", "hardware", "none", "none", "data"]


def test_a_shift_of_one_region_is_the_datas():
    fleet = [
        cohort("arm", "eu"),
        cohort("x86", "eu"),
        cohort("arm", "us", shifted=False),
        cohort("x86", "us", shifted=False),
    ]
    assert [cause(one, fleet) for one in fleet] == ["data", "data", "none", "none"]


def test_one_region_cannot_blame_the_hardware():
    fleet = [cohort("arm", "eu"), cohort("x86", "eu", shifted=False)]
    assert cause(fleet[0], fleet) == "data"


@pytest.mark.parametrize(
    ("drifts", "verdict"),
    [
        ([], "none"),
        (["none", "data"], "data"),
        (["hardware"], "hardware"),
        (["hardware", "data"], "both"),
        (["both"], "both"),
        (["sensor", "none"], "none"),
    ],
)
def test_several_cohorts_have_one_verdict(drifts, verdict):
    assert combine(drifts) == verdict
