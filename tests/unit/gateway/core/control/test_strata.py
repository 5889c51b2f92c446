"""A canary is drawn anew for each rollout and looks like the fleet."""

from __future__ import annotations

from collections import Counter

from gateway.core.control import strata

FLEET = [
    (f"d{n:04}", (("eu", "us", "ap")[n % 3], "pi" if n % 5 else "jetson", "ac" if n % 2 else "dc"))
    for n in range(1200)
]


def test_a_canary_of_one_percent_spans_the_strata():
    order = strata.stratified("r1", FLEET)
    canary = set(order[: strata.cap(0.01, len(FLEET))])
    spanned = {stratum for device, stratum in FLEET if device in canary}
    assert len(canary) == 12
    assert len(spanned) == 12, f"only {len(spanned)} of 12 strata are in the canary"


def test_a_tenth_is_proportional_in_each_stratum():
    chosen = set(strata.stratified("r1", FLEET)[:120])
    sizes = Counter(stratum for _, stratum in FLEET)
    taken = Counter(stratum for device, stratum in FLEET if device in chosen)
    for stratum, size in sizes.items():
        assert abs(taken[stratum] - size / 10) <= 2, f"{stratum}: {taken[stratum]} of {size}"


def test_each_rollout_draws_other_canaries_and_draws_them_again():
    first, again = strata.stratified("r1", FLEET), strata.stratified("r1", reversed(FLEET))
    other = strata.stratified("r2", FLEET)
    assert first == again, "membership followed the order of creation"
    assert len(set(first[:12]) & set(other[:12])) <= 3, "the same machines are canaries again"
    assert sorted(first) == [device for device, _ in FLEET]


def test_adding_a_device_keeps_the_luck_of_others():
    assert strata.draw("r1", "d0001") == strata.draw("r1", "d0001") != strata.draw("r1", "d0002")
    assert strata.draw("r1", "d0001") != strata.draw("r2", "d0001")


def test_caps_are_exact():
    assert [strata.cap(share, 10_000) for share in (0.01, 0.1, 0.25, 1.0)] == [
        100, 1_000, 2_500, 10_000,
    ]  # fmt: skip
    assert strata.cap(0.29, 100) == 29, "a float's rounding cost a device"
    assert strata.cap(0.01, 7) == 1, "a small fleet has a canary too"
    assert strata.cap(0.5, 0) == 0
