"""Pinned operations, by their names."""

import numpy as np
import pytest

from devicesdk.inference import preprocess
from devicesdk.inference.operations import (
    OPERATIONS_MAX,
    OperationError,
    check,
    digest_of,
    finish,
    prepare,
)

GREY = np.arange(64 * 64, dtype=np.int64).reshape(64, 64).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], GREY.T], axis=-1)


def test_the_dial_readers_list_gives_the_dial_readers_pixels():
    listed = ("luma601", "area32", "centre128")
    assert np.array_equal(
        prepare(COLOUR, listed).ravel(), preprocess.prepare(COLOUR[None], listed)[0]
    )


def test_a_colour_picture_becomes_planes():
    made = prepare(COLOUR, ("area:8,16", "planar", "div:255"))
    assert (made.shape, made.dtype) == ((3, 8, 16), np.float32)
    assert np.isclose(made[1, 0, 0], round(COLOUR[:8, :4, 1].mean()) / 255, atol=1 / 255)


def test_normalising_is_by_channel_and_in_thousandths():
    planes = np.stack([np.full((2, 2), 0.5), np.full((2, 2), 1.0)]).astype(np.float32)
    made = prepare(planes, ("normal:500,250,100,250",))
    assert np.allclose(made[0], 0.0)
    assert np.allclose(made[1], 3.0)


def test_axes_and_numbers():
    assert prepare(GREY, ("channel",)).shape == (1, 64, 64)
    assert prepare(GREY, ("last",)).shape == (64, 64, 1)
    sound = np.array([-32768, 0, 16384], dtype=np.int16)
    assert prepare(sound, ("div:32768", "mul:10", "sub:1")).tolist() == [-11.0, -1.0, 4.0]


@pytest.mark.parametrize(
    ("operation", "array"),
    [
        ("blur", GREY), ("area:3,3", GREY), ("area:0,8", GREY), ("area", GREY), ("area:8,8", GREY.astype(float)),
        ("luma601", GREY.astype(float)), ("planar", GREY), ("div:0", GREY), ("div", GREY), ("sub:one", GREY),
        ("normal:1,2", GREY), ("normal:1,1,1,0,1,1", np.zeros((3, 2, 2))),
    ],
)  # fmt: skip
def test_an_operation_that_does_not_fit_is_refused(operation, array):
    with pytest.raises(OperationError, match="expected"):
        prepare(array, (operation,))


ROWS = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [9.0, 9.0, 9.0]])


@pytest.mark.parametrize(
    ("operations", "output", "expected"),
    [
        (("softmax",), [0.0, 0.0], [0.5, 0.5]),
        (("softmax",), [1000.0, 0.0], [1.0, 0.0]),
        (("sigmoid", "binary"), [0.0], [0.5, 0.5]),
        (("binary",), [0.25], [0.75, 0.25]),
        (("share",), [1.0, 3.0], [0.25, 0.75]),
        (("share",), [0.0, 0.0], [0.0, 0.0]),
        (("mean",), ROWS, [13 / 3, 13 / 3, 13 / 3]),
        (("mean:mask",), ROWS, [2.0, 2.0, 2.0]),
        (("first",), ROWS, [1.0, 2.0, 3.0]),
        (("l2",), [3.0, 4.0], [0.6, 0.8]),
        (("div:4",), [2.0], [0.5]),
        ((), [2.0], [2.0]),
    ],
)
def test_outputs_are_finished(operations, output, expected):
    sample = {"mask": np.array([1, 1, 0])}
    assert np.allclose(finish(np.array(output), operations, sample), expected)


@pytest.mark.parametrize(
    ("operation", "output"),
    [("binary", [1.0, 2.0]), ("mean", [1.0]), ("mean:ids", ROWS), ("first", [1.0]), ("div:0", [1.0]), ("top", [1.0])],
)  # fmt: skip
def test_an_output_that_does_not_fit_is_refused(operation, output):
    with pytest.raises(OperationError, match="expected"):
        finish(np.array(output), (operation,), {})


def test_a_list_is_checked_before_anything_runs():
    check(("luma601", "area:8,8", "channel", "div:255"), ("softmax", "mean:attention_mask"))
    for before, after in ((("blur",), ()), ((), ("top",)), (("div:x",), ()), (("div:2",) * 17, ())):
        with pytest.raises(OperationError, match="expected"):
            check(before, after)
    assert OPERATIONS_MAX == 16


def test_the_digest_tells_lists_and_sides_apart():
    lists = [
        ((), ()),
        (("div:2",), ()),
        ((), ("div:2",)),
        (("div:2", "sub:1"), ()),
        (("sub:1", "div:2"), ()),
    ]
    assert len({digest_of(*pair) for pair in lists}) == len(lists)
