from __future__ import annotations

import time

import pytest

from devicesim.recordings.grouping import GROUPS_MAX, OTHERS, grouped, made_up, natural, pattern_of


@pytest.mark.parametrize(
    ("client", "group"),
    [
        ("kiosk-0001", "kiosk"),
        ("meter_00011", "meter"),
        ("ESP_EA5484", "ESP"),
        ("dev1", "dev"),
        ("sensor-a3", "sensor"),
        ("AA:BB:CC:DD:EE:FF", "device"),
        ("b827eb12ab34", "device"),
        ("cam-123e4567-e89b-12d3-a456-426614174000", "cam"),
        ("gateway", "gateway"),
        ("pumps/north/7", "pumps-north"),
        ("Straße 12", "Stra-e"),
        ("42", "device"),
    ],
)
def test_what_stands_before_the_number_is_the_group(client, group):
    assert pattern_of(client) == group


def test_a_handful_is_with_the_others():
    clients = [f"kiosk-{i}" for i in range(100)] + ["odd", "strange-1"]
    found = grouped(clients)
    assert set(found.values()) == {"kiosk", OTHERS}
    assert found["odd"] == OTHERS


def test_there_are_never_too_many_groups():
    clients = [
        f"site{chr(97 + i % 26)}{chr(97 + i // 26)}-{n}" for i in range(60) for n in range(5)
    ]
    assert len(set(grouped(clients).values())) <= GROUPS_MAX


def test_one_kind_is_one_group():
    assert set(grouped(["a-1", "a-2"]).values()) == {"a"}


@pytest.mark.parametrize(
    "client",
    [
        "auto-5E69289A-A711-C1C4-67D6-A346085553C2",
        "mosq-d911rjWHX3Rdwcntoo",
        "mosqsub|1234-host",
        "mqttjs_1a2b3c4d",
        "fleetdrill-capture-77",
    ],
)
def test_names_that_libraries_draw_are_no_devices(client):
    assert made_up(client)
    assert not made_up("kiosk-1")


def test_numbers_sort_as_numbers():
    assert sorted(["d-10", "d-9", "d", "c-11"], key=natural) == ["c-11", "d", "d-9", "d-10"]


def test_a_very_long_id_takes_no_time():
    start = time.process_time()
    pattern_of("1" * 32_000 + "g")
    assert time.process_time() - start < 0.5
