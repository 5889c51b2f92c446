"""Whatever a file says, the answer is a scenario or one screen of complaints: never a crash."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesim.entropy import Entropy
from devicesim.scenario import ScenarioError, load
from devicesim.scenario.document import read_document
from devicesim.scenario.selector import parse_selector

TEXT = (Path(__file__).parents[2] / "scenarios" / "first-light.yaml").read_text()
MARKS = [path for path in read_document(TEXT)[0].marks if path]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from(
        ["", "5%", "45m", "02:45", "all", "group=kiosk", "heal", "-1%", "1e999", "{", "'"]
    ),
    st.text(max_size=20),
)
PROFILE = settings(derandomize=True, max_examples=150, deadline=None, database=None)


def complaint(text: str, *overrides: str) -> ScenarioError | None:
    try:
        load(text, overrides)
    except ScenarioError as error:
        return error
    return None


def answer(text: str, *overrides: str) -> None:
    error = complaint(text, *overrides)
    if error is not None:
        rows = error.render(80).split("\n")
        assert len(rows) <= 24, error.render(80)
        assert max(map(len, rows)) <= 80, error.render(80)
        assert error.problems


@PROFILE
@given(st.text(max_size=200))
def test_any_text(text):
    answer(text + "\n")


@PROFILE
@given(st.sampled_from(MARKS), SCALARS)
def test_any_value_anywhere(path, value):
    answer(TEXT, f"{'.'.join(map(str, path))}={value}")


@PROFILE
@given(st.integers(0, len(TEXT) - 1), st.integers(1, 40), st.text(max_size=3))
def test_any_slip_of_the_pen(start, length, typed):
    answer(TEXT[:start] + typed + TEXT[start + length :])


LABELS = st.sampled_from(["group=a", "group=b", "link~lte", "site!=x", "site!~y"])
SELECTORS = st.recursive(
    LABELS,
    lambda inner: st.one_of(
        inner.map(lambda text: f"!({text})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) & ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) | ({pair[1]})"),
    ),
    max_leaves=6,
)
DEVICES = [
    {"id": f"{group}-{i}", "group": group, "link": link, "site": site}
    for i, (group, link, site) in enumerate(
        (g, k, s) for g in ("a", "b") for k in ("lte", "dsl") for s in ("x", "xy", "z")
    )
]


@PROFILE
@given(SELECTORS, SELECTORS)
def test_selectors_are_boolean_algebra(left, right):
    def select(text: str) -> set[int]:
        return set(parse_selector(text).select(DEVICES, Entropy(1), "x"))

    everybody = set(range(len(DEVICES)))
    assert select(f"({left}) & ({right})") == select(left) & select(right)
    assert select(f"({left}) | ({right})") == select(left) | select(right)
    assert select(f"!({left})") == everybody - select(left)
    assert select(left) == {i for i in everybody if parse_selector(left).matches(DEVICES[i])}
