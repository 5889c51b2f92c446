"""Unit-test twin of `devicesim/models/profile.py`, and the shipped profiles."""

from __future__ import annotations

import copy

import msgspec
import pytest

from devicesim.models.profile import decode_links, decode_profile

NAMES = [
    "esp32-sensor", "gauge-gateway", "handheld", "jetson-camera",
    "phone", "rpi4-kiosk", "rpi5-kiosk", "thermostat", "vehicle-gateway",
]  # fmt: skip


@pytest.fixture
def plain(profiles):
    return copy.deepcopy(msgspec.to_builtins(profiles["phone"]))


def test_all_profiles_are_there_and_their_links_too(profiles, book):
    assert sorted(profiles) == NAMES
    for name, profile in profiles.items():
        assert profile.name == name
        assert profile.default_link in book.links
    assert profiles["vehicle-gateway"].hardware.kernel_class == "saturating"


@pytest.mark.parametrize(
    ("name", "idle", "peak", "supply"),
    [
        ("phone", 0.03, 5.0, "battery"),
        ("handheld", 0.05, 5.0, "battery"),
        ("rpi4-kiosk", 2.7, 6.4, "mains"),
        ("rpi5-kiosk", 3.0, 8.8, "mains"),
        ("jetson-camera", 3.0, 19.0, "poe"),
        ("esp32-sensor", 0.046, 0.63, "battery"),
        ("vehicle-gateway", 4.0, 12.0, "vehicle"),
        ("gauge-gateway", 2.7, 6.4, "mains"),
    ],
)
def test_figures_of_power(profiles, name, idle, peak, supply):
    power = profiles[name].power
    assert (power.idle_w, power.peak_w, power.supply) == (idle, peak, supply)


@pytest.mark.parametrize(
    ("name", "slow_s", "k_w"),
    [
        ("phone", 540, 12.0),
        ("handheld", 540, 11.0),
        ("rpi4-kiosk", 206, 4.0),
        ("jetson-camera", 300, 1.5),
        ("esp32-sensor", 60, 35.0),
        ("vehicle-gateway", 400, 3.0),
    ],
)
def test_figures_of_heat(profiles, name, slow_s, k_w):
    heat = profiles[name].heat
    assert 1.0 / heat.network().rates()[1] == pytest.approx(slow_s, rel=0.02)
    assert heat.body_to_air_k_w == k_w


def test_a_profile_round_trips(plain, profiles):
    assert decode_profile(plain, "x.yaml") == profiles["phone"]
    assert profiles["phone"].radio("wifi").base_w > 0
    assert profiles["phone"].radio() == profiles["phone"].radio("lte")
    assert profiles["phone"].ambient(5, 30.0).mean_c == 30.0
    assert profiles["phone"].ambient().mean_c == 23.0
    with pytest.raises(ValueError, match="did you mean wifi"):
        profiles["phone"].radio("wify")


def change(plain, path, value):
    at = plain
    *parents, last = path.split(".")
    for key in parents:
        at = at[key]
    at[last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value", "story"),
    [
        (
            "power.idel_w",
            1.0,
            r"p\.yaml: power: expected a key out of idle_w.*'idel_w'; did you mean idle_w",
        ),
        ("colour", "red", r"p\.yaml: expected a key out of name.*'colour'"),
        ("power", 5, r"p\.yaml: power: expected a mapping with idle_w.*found 5"),
        ("power.idle_w", "much", r"power\.idle_w: expected float, found str"),
        ("power.supply", "solar", r"power\.supply: .*'solar'"),
        ("power.idle_w", 50.0, r"power: expected 0 < idle_w <= peak_w, found 50.0"),
        ("heat.trip_c", 99.0, r"heat: expected trip_c below shutdown_c"),
        ("heat.body_j_k", 0.0, r"heat: expected body_j_k above zero"),
        ("battery.chemistry", "potato", r"battery: expected one of lithium"),
        ("battery", None, r"expected a battery, since power.supply is battery"),
        ("radios", [], r"expected at least one radio"),
        ("radios", ["lite"], r"expected a radio out of .*'lite'; did you mean lte"),
        ("unit_sigma", 0.5, r"expected unit_sigma between 0 and 0\.2"),
        (
            "radio_specs",
            {"odd": {"promtion_s": 1}},
            r"radio_specs: odd: .*did you mean promotion_s",
        ),
    ],
)
def test_errors_say_where_what_and_the_nearest_word(plain, path, value, story):
    with pytest.raises(ValueError, match=story):
        decode_profile(change(plain, path, value), "p.yaml")


def test_a_missing_key_is_named(plain):
    del plain["heat"]
    with pytest.raises(ValueError, match=r"p\.yaml: .*heat"):
        decode_profile(plain, "p.yaml")


def test_links_report_their_place_too():
    with pytest.raises(ValueError, match=r"l\.yaml: classes: bad: .*did you mean loss"):
        decode_links({"classes": {"bad": {"los": 1}}, "links": {}}, "l.yaml")
