import pytest

from devicesim.scenario import load
from devicesim.world.bands import Lasting
from tests_kit import worlds

TIMELINE = """
timeline:
  - {id: dark, at: 10m, do: partition, target: 'link~dsl'}
  - {id: slow, at: 10m, for: 5m, do: latency, add: 1s, target: 'link~dsl'}
  - {id: back, at: 20m, do: heal, target: 'link~dsl'}
  - {id: others, at: 20m, do: heal, target: 'group=camera'}
  - {id: all-back, at: 20m, do: heal, target: all}
"""


@pytest.fixture
def lasting():
    fleet = "\n".join(
        f"  - {{group: {g}, count: 1, profile: rpi4-kiosk, link: fcc-dsl}}"
        for g in ("kiosk", "camera")
    )
    return Lasting(load(worlds.scenario_text(TIMELINE, fleet=fleet), (), None))


def test_a_fault_lasts_from_its_begin_to_its_end(lasting):
    lasting.begins("slow", 3, 100)
    assert lasting.lasts("slow")
    assert lasting.ends("slow") == [("slow", 100, 3)]
    assert not lasting.lasts("slow")
    assert lasting.ends("slow") == []
    assert lasting.begun == {"slow": 1}


@pytest.mark.parametrize(("heal", "over"), [("back", True), ("others", False), ("all-back", True)])
def test_a_heal_of_the_same_devices_ends_a_partition_that_had_no_end(lasting, heal, over):
    lasting.begins("dark", 7, 100)
    lasting.begins(heal, 7, 200)
    assert lasting.ends(heal) == [(heal, 200, 7), *([("dark", 100, 7)] if over else [])]
    assert lasting.lasts("dark") is not over


def test_the_rest_ends_with_the_run(lasting):
    lasting.begins("dark", 7, 100)
    lasting.begins("dark", 8, 150)
    assert lasting.rest() == [("dark", 100, 7), ("dark", 150, 8)]
    assert lasting.rest() == []


def test_only_a_fault_of_links_without_an_end_waits_for_a_heal(lasting):
    assert [key for key in ("dark", "slow", "back") if lasting.heals(key)] == ["dark"]


def test_what_was_healed_part_by_part_is_not_in_force_any_more(lasting):
    lasting.begins("dark", 7, 100)
    lasting.begins("slow", 7, 150)
    assert [key for key, *_ in lasting.now()] == ["dark", "slow"]
    assert [key for key, *_ in lasting.now(300)] == ["slow"]
    assert [key for key, *_ in lasting.now(50)] == ["dark", "slow"], "clear before it began"
