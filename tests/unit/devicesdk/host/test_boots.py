import pytest

from devicesdk.host.boots import next_boot
from devicesdk.host.storage import Storage

WALL_MS = 1_760_000_000_000


@pytest.fixture
def storage(tmp_path):
    made = Storage(tmp_path)
    yield made
    made.close()


def test_the_first_boot_is_one_and_each_is_one_more(storage):
    assert [next_boot(storage, WALL_MS) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("torn", [b"", b"garbage", b"-5", b"\xff"])
def test_a_damaged_counter_goes_on_with_the_wall_clock_and_still_grows(storage, torn):
    storage.save("state", b"this device has run before")
    storage.save("boot", torn)
    assert next_boot(storage, WALL_MS) == WALL_MS // 1000
    assert next_boot(storage, WALL_MS) == WALL_MS // 1000 + 1


def test_a_lost_counter_of_a_device_that_has_run_never_goes_back_to_one(storage):
    storage.save("state", b"this device has run before")
    assert next_boot(storage, WALL_MS) == WALL_MS // 1000
