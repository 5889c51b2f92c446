from __future__ import annotations

import numpy as np
import pytest

from devicesdk.inference import words


def spectrum(clip):
    return np.abs(np.fft.rfft(clip))


def test_each_command_has_a_sound_of_its_own_and_none_is_silence():
    bank = words.word_bank()[: len(words.LABELS)]
    assert not bank[0].any(), "nothing is said"
    shapes = np.array([spectrum(clip) / np.linalg.norm(spectrum(clip)) for clip in bank[1:]])
    likeness = shapes @ shapes.T - np.eye(len(shapes))
    assert likeness.max() < 0.98, "two commands of one voice sound alike"


def test_voices_differ_in_pitch():
    rng = np.random.Generator(np.random.Philox(key=1))
    low, high = (
        words.draw_speakers(rng, 1)._replace(pitch_hz=np.array([hz], np.float32), glide=np.zeros(1))
        for hz in (100.0, 230.0)
    )
    for speaker, hertz in ((low, 100.0), (high, 230.0)):
        clip = words.say("oooooooooooo", speaker, 0)
        found = spectrum(clip)[1:]
        harmonics = np.arange(1, 4) * hertz * words.SAMPLES / words.RATE_HZ
        near = sum(found[round(h) - 6 : round(h) + 5].max() for h in harmonics)
        between = sum(found[round(1.5 * h) - 3 : round(1.5 * h) + 2].max() for h in harmonics[:1])
        assert near > 5 * between, f"the voice of {hertz} Hz has no harmonics there"


def test_a_covered_microphone_loses_its_highs():
    clip = words.word_bank()[words.LABELS.index("yes")][None, :]
    highs = [spectrum(words.low_pass(clip, cut)[0])[4000:].sum() for cut in (8000.0, 2600.0, 900.0)]
    assert highs[0] > 2 * highs[1] > 4 * highs[2]


def test_road_noise_falls_with_frequency_and_has_unit_level():
    noise = words.noise_bank()[:8]
    assert np.sqrt((noise**2).mean(axis=1)) == pytest.approx(1.0, abs=1e-3)
    found = np.array([spectrum(row) for row in noise]).mean(axis=0)
    assert found[20:200].mean() > 5 * found[4000:].mean()


def test_clips_are_16_bit_and_depend_on_their_row_alone():
    def clips(rows):
        return words.Clips(
            np.array([1, 2, 3])[rows], np.array([2e3, 9e4, 50], np.float32)[rows],
            np.array([0, 1, 2])[rows], np.array([100, 100, 5e3], np.float32)[rows],
            np.array([0, 1600, -1600])[rows],
        )  # fmt: skip

    together = words.record(clips(slice(None)))
    assert together.dtype == np.int16
    assert together[1].max() == 32767, "what is too loud is clipped"
    assert together[2].tobytes() == words.record(clips(slice(2, 3)))[0].tobytes()
