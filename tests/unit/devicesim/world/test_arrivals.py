from devicesim.world.arrivals import Arrivals


def test_a_chunk_is_new_once_for_each_device_and_blob():
    arrivals = Arrivals(2)
    assert not arrivals.take(0, b"aaaaaaaa", 5)
    assert arrivals.take(0, b"aaaaaaaa", 5)
    assert not arrivals.take(1, b"aaaaaaaa", 5)
    assert not arrivals.take(0, b"aaaaaaaa", 6)
    assert arrivals.count(0, b"aaaaaaaa") == 2
    assert arrivals.count(0, b"bbbbbbbb") == 0


def test_the_blob_before_is_forgotten():
    arrivals = Arrivals(1)
    arrivals.take(0, b"aaaaaaaa", 0)
    arrivals.take(0, b"bbbbbbbb", 0)
    assert not arrivals.take(0, b"aaaaaaaa", 0)
