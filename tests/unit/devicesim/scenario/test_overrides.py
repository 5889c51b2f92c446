from __future__ import annotations

import pytest

from devicesim.scenario.document import read_document
from devicesim.scenario.overrides import apply_override

TEXT = "scale: 1\nfleet:\n  - {group: kiosk, count: 3}\n  - {group: phone, count: 4}\nrollouts:\n  - {id: r1}\n"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("scale=0.1", ("scale",), 0.1),
        ("fleet.1.count=9", ("fleet", 1, "count"), 9),
        ("fleet.phone.count=9", ("fleet", 1, "count"), 9),
        ("rollouts.r1.soak=5m", ("rollouts", 0, "soak"), "5m"),
        ("rollouts.r1.waves=[5%, 100%]", ("rollouts", 0, "waves"), ["5%", "100%"]),
        ("clock.mode=real", ("clock", "mode"), "real"),
        ("agent.backoff.jitter=none", ("agent", "backoff", "jitter"), "none"),
        ("title=a=b", ("title",), "a=b"),
        ("title=", ("title",), None),
        ("fleet.0={group: x}", ("fleet", 0), {"group": "x"}),
    ],
)
def test_a_path_finds_its_place(override, path, value):
    document, _ = read_document(TEXT)
    assert apply_override(document, override) is None
    found = document.data
    for part in path:
        found = found[part]
    assert found == value
    assert document.place(path) == (0, 0, f"--set {override}")


@pytest.mark.parametrize(
    ("override", "expected", "nearest"),
    [
        ("scale", "path=value", ""),
        ("=1", "path=value", ""),
        ("a..b=1", "path=value", ""),
        ("fleet.2.count=1", "a position from 0 to 1, or kiosk, phone", ""),
        ("fleet.kisk.count=1", "a position from 0 to 1, or kiosk, phone", "kiosk"),
        ("scale.x=1", "which is one value", ""),
        ("scale=[1", "a YAML value", ""),
    ],
)
def test_overrides_refused(override, expected, nearest):
    document, _ = read_document(TEXT)
    problem = apply_override(document, override)
    assert problem is not None
    assert expected in problem.expected
    assert (problem.nearest, problem.origin) == (nearest, f"--set {override}")


def test_a_position_of_five_thousand_digits_is_a_position_that_there_is_not():
    document, _ = read_document("fleet: [{group: kiosk}]")
    problem = apply_override(document, f"fleet.{'9' * 5000}.count=3")
    assert problem is not None
    assert "a position from 0 to 0" in problem.expected
