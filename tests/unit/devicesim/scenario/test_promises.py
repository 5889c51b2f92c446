from __future__ import annotations

import pytest
from pydantic import ValidationError

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.scenario.checks import KNOWN
from devicesim.scenario.errors import Refusal
from devicesim.scenario.promises import Liveness, is_promise, read_promise, read_within


def read(part="eventually", **item):
    return read_promise(item, part, KNOWN)


def refused(part="eventually", **item):
    with pytest.raises(Refusal) as caught:
        read(part, **item)
    return caught.value


def test_a_wait_in_final_units():
    made = read(expect="stuck == 0", within="30m", after="heal", quiet="10m")
    wait = made.wait
    assert (wait.within_ns, wait.quiet_ns, made.after) == (30 * MINUTE, 10 * MINUTE, "heal")
    assert str(made) == "stuck == 0 within 30m after heal, for 10m"
    calm = read(expect="stuck == 0", within="1h", quiet_after="15m", name="calm")
    assert str(calm) == "calm within 1h after 15m without faults"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("30m", (30 * MINUTE, False)),
        ("N/accept_rate + 5m", (5 * MINUTE, True)),
        ("devices / accept_rate", (0, True)),
    ],
)
def test_how_long_it_may_take(text, found):
    assert read_within(text) == found


def test_the_time_of_the_whole_fleet_is_spelt_as_written():
    made = read(expect="online_ratio >= .99", within="N/accept_rate + 5m", after="heal")
    assert str(made) == "online_ratio >= .99 within N/accept_rate + 5m after heal"


def test_when_it_is_looked_at():
    made = read("always", expect="stuck == 0", **{"from": "1h", "until": "5h"})
    assert (made.from_ns, made.until_ns) == (HOUR, 5 * HOUR)
    assert read("always", expect="stuck == 0").from_ns is None


def test_what_a_fault_may_leave_behind():
    made = read(no_residue="20%", within="1h", after="heal")
    assert made.name == "no residue above 20 %"
    assert "0.800000 * before(fleet.online_ratio)" in made.expect.text
    assert is_promise({"no_residue": "20%"})
    assert not is_promise({"stuck": "== 0"})
    assert refused("always", no_residue="20%").at == ("no_residue",)


@pytest.mark.parametrize(
    ("item", "at", "nearest"),
    [
        ({"expect": "stuck == 0"}, (), ""),
        ({"expect": "stuck == 0", "within": 5}, ("within",), "5s (seconds), 5m (minutes) or 5h (hours)"),
        ({"expect": "stuk == 0", "within": "5m"}, ("expect",), "stuck"),
        ({"expect": "stuck == 0", "within": "5m", "quit": "5m"}, ("quit",), "quiet"),
        ({"expect": "stuck == 0", "within": "5m", "from": "5m"}, ("from",), ""),
        ({"expect": "stuck == 0", "within": "5m", "after": 3}, ("after",), ""),
        ({"expect": "stuck == 0", "within": "5m", "name": 3}, ("name",), ""),
        (
            {"expect": "stuck == 0", "within": "5m", "after": "heal", "quiet_after": "5m"},
            ("quiet_after",), "",
        ),
    ],
)  # fmt: skip
def test_what_is_no_promise(item, at, nearest):
    refusal = refused(**item)
    assert (refusal.at, refusal.nearest) == (at, nearest), str(refusal)


def test_liveness_needs_long_enough_to_see_whether_queues_grow():
    made = Liveness.model_validate({"at": "20h", "core": "share(all, 60%)"})
    assert (made.at_ns, made.freeze, made.within_ns) == (20 * HOUR, True, 2 * HOUR)
    with pytest.raises(ValidationError):
        Liveness.model_validate({"at": "20h", "core": "all", "within": "5m"})
