import pytest

from devicesdk.agent.stimuli import Conditions
from devicesdk.host.sensors import Sensors, matters


def put(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def zone(root, number, millidegrees):
    path = root / f"class/thermal/thermal_zone{number}/temp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{millidegrees}\n")


def supply(root, name, **files):
    folder = root / "class/power_supply" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(f"{text}\n")


def test_a_machine_without_sensors_is_a_healthy_one_on_the_mains(tmp_path):
    sensors = Sensors(sys=tmp_path, meminfo=tmp_path / "none")
    assert sensors.conditions() == Conditions()
    assert sensors.carrier()


def test_the_hottest_sane_zone_counts(tmp_path):
    zone(tmp_path, 0, 41_900)
    zone(tmp_path, 1, 63_499)
    zone(tmp_path, 2, 999_999)
    zone(tmp_path, 3, "garbage")
    assert Sensors(sys=tmp_path).conditions().chip_c == 63


@pytest.mark.parametrize(
    ("battery", "mains", "expected"),
    [
        ({"capacity": 47, "status": "Discharging"}, None, (47, False)),
        ({"capacity": 47, "status": "Charging"}, None, (47, True)),
        ({"capacity": 47, "status": "Discharging"}, 0, (47, False)),
        ({"capacity": 47, "status": "Discharging"}, 1, (47, True)),
        ({"capacity": 250}, 1, (100, True)),
    ],
)
def test_battery_and_plug(tmp_path, battery, mains, expected):
    supply(tmp_path, "BAT0", type="Battery", **battery)
    if mains is not None:
        supply(tmp_path, "AC", type="Mains", online=mains)
    found = Sensors(sys=tmp_path).conditions()
    assert (found.battery_percent, found.plugged) == expected


def test_a_core_that_was_throttled_since_the_last_look_counts_once(tmp_path):
    core = "devices__system__cpu__cpu0__thermal_throttle__core_throttle_count"
    put(tmp_path, **{core: 7})
    sensors = Sensors(sys=tmp_path)
    assert not sensors.conditions().throttled
    put(tmp_path, **{core: 9})
    assert sensors.conditions().throttled
    assert not sensors.conditions().throttled


@pytest.mark.parametrize(("bits", "throttled"), [("0", 0), ("50000", 0), ("4", 1), ("x", 0)])
def test_a_raspberry_pi_says_it_in_bits(tmp_path, bits, throttled):
    put(tmp_path, **{"devices__platform__soc__soc:firmware__get_throttled": bits})
    assert Sensors(sys=tmp_path).conditions().throttled == bool(throttled)


def test_the_carrier_of_the_watched_interface(tmp_path):
    sensors = Sensors("wlan0", sys=tmp_path)
    assert not sensors.carrier(), "an interface that is not there has no carrier"
    put(tmp_path, class__net__wlan0__carrier=1)
    assert sensors.carrier()
    put(tmp_path, class__net__wlan0__carrier=0)
    assert not sensors.carrier()


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (Conditions(), False),
        (Conditions(chip_c=29, battery_percent=96), False),
        (Conditions(chip_c=30), True),
        (Conditions(battery_percent=95), True),
        (Conditions(plugged=False), True),
        (Conditions(throttled=True), True),
    ],
)
def test_only_steps_that_matter_are_told(new, told):
    assert matters(Conditions(), new) is told


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 250 kB\n", 75),
        ("MemTotal: 0 kB\nMemAvailable: 0 kB\n", 100),
        ("MemTotal: many kB\nMemAvailable: 1 kB\n", 0),
        ("", 0),
    ],
)
def test_memory_in_use_is_what_is_not_available(tmp_path, text, percent):
    (tmp_path / "meminfo").write_text(text)
    found = Sensors(sys=tmp_path, metered=True, meminfo=tmp_path / "meminfo").conditions()
    assert (found.memory_percent, found.metered) == (percent, True)


def test_memory_matters_in_steps():
    assert matters(Conditions(memory_percent=50), Conditions(memory_percent=60))
    assert not matters(Conditions(memory_percent=50), Conditions(memory_percent=59))
