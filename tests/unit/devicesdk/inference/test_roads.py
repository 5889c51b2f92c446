from __future__ import annotations

import numpy as np

from devicesdk.inference import dials, roads


def scenes(n, **given):
    zeros = np.zeros(n, dtype=np.float32)
    usual = {
        "values": zeros + 0.5, "curvature": zeros, "yaw": zeros, "pitch": zeros, "wear": zeros,
        "phase": zeros, "rain": zeros, "night": zeros, "texture": np.arange(n) % 64,
    }  # fmt: skip
    made = {
        name: np.asarray(column, dtype=np.int64 if name == "texture" else np.float32)
        for name, column in (usual | given).items()
    }
    return roads.Scenes(**made)


def right_mark(picture):
    """The column of the right mark in the lowest row: the brightest of the right half."""
    return int(picture.reshape(32, 32)[-1, 16:].argmax()) + 16


def test_the_right_mark_moves_left_as_the_vehicle_moves_right():
    pictures = roads.paint(scenes(3, values=[0.2, 0.5, 0.8]))
    columns = [right_mark(picture) for picture in pictures]
    # At 4 m a column is 0.19 m; an offset of 0.54 m is nearly three of them.
    assert columns[0] > columns[1] > columns[2], columns
    assert columns[0] - columns[2] in (5, 6), "1.08 m in columns"


def test_paint_wears_off():
    fresh, worn, bare = roads.paint(scenes(3, wear=[0.0, 0.5, 1.2], texture=[7, 7, 7]))
    bright = [(picture > 0.6).sum() for picture in (fresh, worn, bare)]
    assert bright[0] > bright[1] > bright[2] == 0, bright


def test_headlights_leave_a_pool_near_the_vehicle():
    day, night = roads.paint(scenes(2, night=[0.0, 1.0], texture=[3, 3])).reshape(2, 32, 32)
    assert night[:4].mean() < 0.3 * day[:4].mean(), "far away it is dark"
    assert night[-4:, 12:20].mean() > 0.8 * day[-4:, 12:20].mean(), "before the bonnet it is not"


def test_rain_blurs():
    def sharpness(rain):
        some = scenes(1, rain=[rain])
        picture = roads.spread(roads.paint(some), some.rain, np.zeros(1, dtype=np.int64))
        return np.abs(np.diff(picture.reshape(32, 32), axis=1)).mean()

    assert sharpness(1.0) < 0.6 * sharpness(0.0)


def test_a_picture_depends_on_its_row_alone_and_has_whole_pixels():
    n = 5
    some = scenes(n, values=np.linspace(0, 1, n), rain=np.linspace(0, 1, n))
    shot = dials.Exposures(
        np.full(n, 180, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32),
        np.zeros(n, np.int64), np.full(n, 3, np.float32), np.arange(n),
    )  # fmt: skip
    lens = np.zeros(n, dtype=np.int64)
    together = roads.photograph(some, lens, shot, np.empty((n, 1024), np.float32))
    row = slice(3, 4)
    only = dials.Exposures(*(column[row] for column in shot))
    alone = roads.photograph(some.window(row), lens[row], only, np.empty((1, 1024), np.float32))
    assert together[3].tobytes() == alone[0].tobytes()
    assert (together == np.rint(together)).all()
    assert together.min() >= -128
    assert together.max() <= 127
