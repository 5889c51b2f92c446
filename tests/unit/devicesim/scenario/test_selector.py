from __future__ import annotations

import pytest

from devicesim.entropy import Entropy
from devicesim.scenario.errors import Refusal
from devicesim.scenario.selector import EVERYBODY, parse_selector


def device(number, group="kiosk", link="fcc-dsl", region="us-east"):
    return {
        "id": f"{group}-{number:04d}",
        "group": group,
        "profile": "rpi4",
        "link": link,
        "region": region,
    }


FLEET = [
    device(0),
    device(1, link="lte-good"),
    device(0, "phone", "lte-poor", "us-west"),
    device(1, "phone", "wifi", "us-west"),
]


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("all", [0, 1, 2, 3]),
        ("group=kiosk", [0, 1]),
        ("group!=kiosk", [2, 3]),
        ("link~lte", [1, 2]),
        ("link!~lte", [0, 3]),
        ("group=kiosk & link~lte", [1]),
        ("group=kiosk, link~lte", [1]),
        ("link=wifi | group=kiosk & link~lte", [1, 3]),
        ("(link=wifi | group=kiosk) & link~lte", [1]),
        ("!link~lte", [0, 3]),
        ("!(group=kiosk | link~lte)", [3]),
        ("!!group=kiosk", [0, 1]),
        ("id=phone-0001", [3]),
        ("absent=x", []),
        ("absent!=x", [0, 1, 2, 3]),
        ("all=x | region=us-west", [2, 3]),
        ("sample(all, 100%)", [0, 1, 2, 3]),
        ("share(group=kiosk, link~lte, 0%..100%)", [1]),
    ],
)
def test_who_is_selected(text, hit):
    selector = parse_selector(text)
    assert selector.select(FLEET, Entropy(1), "x") == hit, text
    if not selector.drawn:
        assert [i for i, labels in enumerate(FLEET) if selector.matches(labels)] == hit


def test_everybody_is_all():
    assert parse_selector("all").node == EVERYBODY.node
    assert str(EVERYBODY) == "all"


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        (None, 0),
        ("kiosk", 5),
        ("group=", 6),
        ("group=kiosk &", 13),
        ("(group=kiosk", 12),
        ("group=kiosk)", 11),
        ("group=kiosk group=phone", 12),
        ("sampel(all, 5%)", 0),
        ("sample(all)", 10),
        ("sample(all, 5%", 14),
        ("sample(all, x)", 13),
        ("share(all, 25%..10%)", 11),
        ("sample(all, 0%)", 12),
        ("group=5%", 6),
        ("group # kiosk", 6),
        ("(" * 40 + "all" + ")" * 40, 16),
    ],
)
def test_what_is_no_selector(text, offset):
    with pytest.raises(Refusal) as caught:
        parse_selector(text)
    assert caught.value.offset == offset, f"{text!r}: {caught.value}"


def test_a_bare_word_is_told_what_was_meant():
    with pytest.raises(Refusal) as caught:
        parse_selector("kiosk")
    assert caught.value.nearest == "group=kiosk"


def test_a_sample_needs_everybody():
    with pytest.raises(ValueError, match="select"):
        parse_selector("group=kiosk & sample(all, 5%)").matches(FLEET[0])


CROWD = [device(i) for i in range(2000)]


def test_a_sample_has_about_its_share_and_is_drawn_anew_for_each_occasion():
    sample = parse_selector("sample(group=kiosk, 5%)")
    first = sample.select(CROWD, Entropy(1), "a")
    assert 70 <= len(first) <= 130
    assert first == sample.select(CROWD, Entropy(1), "a")
    assert first != sample.select(CROWD, Entropy(1), "b")
    assert first != sample.select(CROWD, Entropy(2), "a")
    assert first == sorted(first)


def test_shares_are_sticky_and_slices_are_disjoint():
    low, high = parse_selector("share(all, 30%)"), parse_selector("share(all, 30%..100%)")
    part = low.select(CROWD, Entropy(1), "a")
    assert part == low.select(CROWD, Entropy(1), "b")
    rest = high.select(CROWD, Entropy(1), "c")
    assert sorted(part + rest) == list(range(2000)), "slices must neither overlap nor leave gaps"
    wider = parse_selector("share(all, 50%)").select(CROWD, Entropy(1), "a")
    assert set(part) < set(wider), "a larger share must keep the smaller one's devices"


def test_another_device_changes_nobody_elses_part():
    sample = parse_selector("sample(all, 5%)")
    before = {CROWD[i]["id"] for i in sample.select(CROWD[:1999], Entropy(1), "a")}
    after = {CROWD[i]["id"] for i in sample.select(CROWD, Entropy(1), "a")}
    assert after - {CROWD[1999]["id"]} == before


def test_a_small_sample_takes_at_least_one():
    assert len(parse_selector("sample(all, 1%)").select(FLEET, Entropy(1), "a")) == 1
    assert parse_selector("sample(group=none, 1%)").select(FLEET, Entropy(1), "a") == []
