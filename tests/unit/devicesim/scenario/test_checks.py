from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.checks import ALWAYS, Buggify, Checks, Soak
from devicesim.scenario.errors import Refusal


def test_all_always_checks_run_by_default():
    assert Checks.model_validate({}).always == tuple(ALWAYS)
    assert Checks.model_validate({"always": "all"}).always == tuple(ALWAYS)
    assert Checks.model_validate({"always": ("conservation",)}).always == ("conservation",)


def test_checks_in_final_units():
    checks = Checks.model_validate(
        {
            "eventually": ({"online_ratio": ">= .99", "within": "30m", "after": "heal"},),
            "sometimes": ("rollback_ran",),
            "finally": ({"stuck": "== 0"}, {"versions": "<= 1"}),
            "slo": ({"kill_p99": "< 2s"},),
        }
    )
    (item,) = checks.eventually
    assert (item.measure, item.wait.within_ns, item.after) == ("online_ratio", 30 * MINUTE, "heal")
    assert item.must.holds(0.99)
    assert str(item) == "online_ratio >= .99 within 30m after heal"
    assert [str(item) for item in checks.at_end] == ["stuck == 0", "versions <= 1"]
    assert not checks.slo[0].must.holds(2_000_000_000)


@pytest.mark.parametrize(
    ("data", "at"),
    [
        ({"always": ("conservatoin",)}, ()),
        ({"always": ({"exptect": "stuck == 0"},)}, ()),
        ({"always": ({"expect": "stuck == 0", "nam": "x"},)}, ("nam",)),
        ({"sometimes": ("rained",)}, ()),
        ({"finally": ({"stuk": "== 0"},)}, ("stuk",)),
        ({"finally": ({"stuck": "= 0"},)}, ("stuck",)),
        ({"finally": ({"stuck": "== 0", "versions": "<= 1"},)}, ()),
        ({"finally": ("stuck",)}, ()),
        ({"slo": ({"kill_p99": "< 2"},)}, ("kill_p99",)),
        ({"eventually": ({"online_ratio": ">= .99"},)}, ()),
        ({"eventually": ({"online_ratio": ">= .99", "within": 30},)}, ("within",)),
        ({"eventually": ({"online_ratio": ">= .99", "within": "3m", "after": 1},)}, ("after",)),
        ({"eventually": ({"within": "3m"},)}, ()),
    ],
)
def test_misspelt_checks_never_pass_by_being_absent(data, at):
    with pytest.raises(ValidationError) as caught:
        Checks.model_validate(data)
    refusal = caught.value.errors()[0]["ctx"]["error"]
    assert isinstance(refusal, Refusal)
    assert refusal.at == at


def test_soak_and_buggify():
    soak = Soak.model_validate({"window": "10m", "abort": {"loss": "> 0", "bricked": "> 0"}})
    assert [str(part) for part in soak.abort] == ["loss > 0", "bricked > 0"]
    assert soak.leak.rss_mb_per_h == 5
    assert Buggify.model_validate({"activate": 0.25, "fire": "5%"}).fire == 0.05
    with pytest.raises(ValidationError):
        Soak.model_validate({"abort": "never"})


def test_promises_of_ones_own_come_beside_all_of_ours():
    mine = {"name": "half-stay", "expect": "fleet.online_ratio >= .5"}
    assert Checks.model_validate({"always": (mine,)}).always[:-1] == tuple(ALWAYS)
    named = Checks.model_validate({"always": ("energy", mine)}).always
    assert (named[0], str(named[1]), len(named)) == ("energy", "half-stay", 2)
    assert Checks.model_validate({"always": ()}).always == ()


def test_every_part_takes_expressions():
    one = {"expect": "stuck == 0 and bricked == 0"}
    checks = Checks.model_validate(
        {"always": (one,), "sometimes": (one,), "finally": (one,), "slo": (one,),
         "eventually": ({**one, "within": "1h"},)}
    )  # fmt: skip
    assert str(checks.at_end[0]) == str(checks.slo[0]) == one["expect"]
    assert str(checks.eventually[0]) == f"{one['expect']} within 1h of the start"
