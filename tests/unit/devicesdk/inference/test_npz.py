"""numpy's files, and files that lie about themselves."""

import io
import zipfile

import numpy as np
import pytest

from devicesdk.inference.npz import MAGIC, ArrayError, read_npy, read_npz


def npy(array, **how):
    stream = io.BytesIO()
    np.save(stream, array, **how)
    return stream.getvalue()


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.int64).reshape(3, 4), np.float32(3.5), np.zeros((0, 5), np.uint8),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array([True, False]),
        np.arange(4, dtype=">i4"), np.ones((2, 1, 3), np.float16),
    ],
)  # fmt: skip
def test_arrays_of_numbers_come_back(array):
    found = read_npy(npy(array))
    assert found.shape == np.shape(array)
    assert found.dtype == np.asarray(array).dtype.newbyteorder("=")
    assert np.array_equal(found, array)


def test_an_archive_comes_back_by_name():
    found = read_npz(npz(a=np.arange(3), **{"sample/0000/x": np.ones(2)}), 1000)
    assert {name: array.tolist() for name, array in found.items()} == {
        "a": [0, 1, 2], "sample/0000/x": [1.0, 1.0],
    }  # fmt: skip


def test_a_header_that_lies_about_the_size_costs_nothing():
    """`numpy.load` would ask for eight terabytes here."""
    honest = npy(np.zeros(10))
    for lie in (b"(1000000000000,)", b"(99,)", b"(1,)"):
        said = (lie + b", }").ljust(30)
        changed = honest.replace(b"(10,), }".ljust(30), said, 1)
        assert len(changed) == len(honest)
        assert changed != honest
        with pytest.raises(ArrayError, match="cut short or altered"):
            read_npy(changed)


@pytest.mark.parametrize(
    "data",
    [
        b"", MAGIC, MAGIC + b"\x09\x00", npy(np.zeros(4))[:-1], npy(np.zeros(4)) + b"x",
        npy(np.array(["text"])), npy(np.array([1 + 2j])),
        npy(np.array([{"any": "thing"}], dtype=object), allow_pickle=True),
        npy(np.zeros(2)).replace(b"'<f8'", b"'<f9'"), npy(np.zeros(2)).replace(b"(2,)", b"(-2"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_numbers_is_refused(data):
    with pytest.raises(ArrayError):
        read_npy(data)


def test_an_archive_larger_than_allowed_is_not_unpacked():
    packed = npz(a=np.zeros(1_000_000))
    assert len(packed) < 10_000
    with pytest.raises(ArrayError, match="at most"):
        read_npz(packed, 100_000)


def test_a_damaged_archive_says_so():
    packed = npz(a=np.arange(500))
    for at in range(0, len(packed), 29):
        changed = bytearray(packed)
        changed[at] ^= 255
        try:
            found = read_npz(bytes(changed), 100_000)
        except ArrayError:
            continue
        # Bits that a zip reader ignores (times, attributes) or a name: then the numbers are right.
        assert [array.tolist() for array in found.values()] == [list(range(500))]
    for cut in (0, 10, len(packed) - 10):
        with pytest.raises(ArrayError):
            read_npz(packed[:cut], 100_000)


def test_two_arrays_of_one_name_are_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("a.npy", npy(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("a.npy", npy(np.ones(1)))
    with pytest.raises(ArrayError, match="different names"):
        read_npz(stream.getvalue(), 10_000)
