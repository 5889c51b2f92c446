from __future__ import annotations

import numpy as np
import pytest

from devicesdk.inference import dials


def flat(*values):
    return np.array(values, dtype=np.float32)


def poses(count, pose=dials.TILTS[0]):
    return np.tile(np.array(pose, dtype=np.float32), (count, 1))


def exposures(count, *, light=1.0, haze=0.0, glare=0.0, sigma=None):
    gain, offset, noise = dials.exposure_terms(light, haze)
    return dials.Exposures(
        np.full(count, gain, np.float32),
        np.full(count, offset, np.float32),
        np.full(count, glare, np.float32),
        np.full(count, 5, np.int64),
        np.full(count, noise if sigma is None else sigma, np.float32),
        np.arange(count, dtype=np.int64),
    )


def shot(value=0.5, **conditions):
    image = dials.paint(flat(value), poses(1))
    dials.develop(image, exposures(1, **conditions), np.empty_like(image))
    return image[0]


@pytest.mark.parametrize("value", [0.0, 1 / 6, 0.4, 0.5, 5 / 6, 1.0])
def test_the_needle_points_where_the_value_says(value):
    axis = np.arange(32) - 15.5
    elsewhere = 0.95 if value < 0.5 else 0.05
    images = dials.paint(flat(value, elsewhere), poses(2)).reshape(2, 32, 32)
    ink = np.clip(images[1] - images[0], 0, None)  # darker here than where the needle is elsewhere
    right, up = (ink * axis[None, :]).sum(), (ink * -axis[:, None]).sum()
    found, expected = np.degrees(np.arctan2(right, up)), 270 * (value - 0.5)
    away = abs((found - expected + 180) % 360 - 180)
    assert away < 12, f"at {value} the needle should point {expected:.0f} deg, its ink {found:.0f}"


def test_a_picture_is_whole_numbers_within_the_range_of_a_byte():
    for light, haze, glare in ((1, 0, 0), (0.01, 0, 0), (1, 1, 0), (1, 0, 250), (50, 0.5, 250)):
        image = shot(light=light, haze=haze, glare=glare)
        assert np.array_equal(image, np.rint(image))
        assert (image.min() >= -128, image.max() <= 127) == (True, True)


def test_conditions_do_to_a_picture_what_they_do_to_a_camera():
    good = shot()
    assert shot(light=0.1).mean() < good.mean() - 60, "dim pictures are dark"
    assert shot(haze=0.5).std() < 0.7 * good.std(), "haze takes contrast"
    assert abs(shot(haze=0.5).mean() - good.mean()) < 25, "but hardly light"
    assert (shot(glare=200.0) >= 122).sum() > (good >= 122).sum() + 20, "glare burns out"
    noise = [np.std(shot(light=light) - shot(light=light, sigma=0.0)) for light in (1.0, 0.35)]
    assert noise[1] > 1.8 * noise[0], "gain brings noise"


def test_auto_exposure_holds_the_white_level_until_it_runs_out():
    whites = [sum(dials.exposure_terms(light, 0.0)[:2]) for light in (8.0, 1.0, 0.4, 0.1, 0.0)]
    assert whites[:3] == pytest.approx([dials.WHITE_LEVEL] * 3)
    assert whites[3] == pytest.approx(0.3 * dials.WHITE_LEVEL)
    assert whites[4] == 0.0


def test_defocus_keeps_light_and_takes_sharpness():
    sharp = dials.paint(flat(0.2, 0.8), poses(2))
    soft = dials.defocus(sharp, 2.0)
    assert soft.mean() == pytest.approx(sharp.mean(), abs=0.02)
    assert np.abs(np.diff(soft)).mean() < 0.6 * np.abs(np.diff(sharp)).mean()
    assert np.array_equal(dials.defocus(sharp, 0.0), sharp)


def test_the_bank_holds_what_painting_gives():
    bank = dials.dial_bank()
    assert bank.shape == (len(dials.TILTS) * len(dials.BLUR_PX) * dials.VALUES, dials.PIXELS)
    tilt, blur, value = 3, 2, 200
    scene = (tilt * len(dials.BLUR_PX) + blur) * dials.VALUES
    row = dials.bank_rows(np.array([scene]), flat(value / 255))[0]
    painted = dials.paint(flat(value / 255), poses(1, dials.TILTS[tilt]))
    assert np.allclose(bank[row], dials.defocus(painted, dials.BLUR_PX[blur])[0], atol=1e-5)


def test_a_picture_does_not_depend_on_its_neighbours():
    many = dials.paint(np.linspace(0, 1, 40, dtype=np.float32), poses(40))
    shots = exposures(40, light=0.7, haze=0.1, glare=80.0)
    together = many.copy()
    dials.develop(together, shots, np.empty_like(many))
    for index in (0, 17, 39):
        alone = many[index : index + 1].copy()
        one = dials.Exposures(*(column[index : index + 1] for column in shots))
        dials.develop(alone, one, np.empty_like(alone))
        assert alone.tobytes() == together[index].tobytes()
