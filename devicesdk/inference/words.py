"""Spoken commands as a cabin's microphone hears them: formant synthesis, speakers, rooms, road noise.

Decides what 0.78 s of synthetic commands sound like. Leaves out who speaks when
(devicesim/models/wordstream.py, or a device with no microphone) and what a network makes of it.

**These are not recordings and not speech.** Each "word" is a fixed sequence of vowels, hisses and
silences, made with a harmonic source shaped by three resonances (source-filter theory: Fant 1960,
"Acoustic Theory of Speech Production"; mean formants of vowels: Peterson and Barney 1952, table II).
Speakers differ by pitch, size of the vocal tract, tempo and timbre. Whatever is measured on them says how
the pipeline, the bundle and the telemetry behave, and nothing about voices.

Rules: samples are 16-bit, as microphones give them; a clip depends on its row alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from devicesdk.inference.dials import Floats, Indices

Sound: TypeAlias = NDArray[np.int16]

RATE_HZ: Final = 16_000
HOP: Final = 160
FRAMES: Final = 79
SAMPLES: Final = 12_512
"""76 spectral frames of 512 samples, 160 apart: what the speech embedding looks at."""
LABELS: Final = ("none", "wake", "call", "stop", "yes", "no", "left", "right")
SPEAKERS: Final = 8
MUFFLED: Final = 4
"""Levels of a covered microphone; 0 is clear."""
NOISES: Final = 64
FULL_SCALE: Final = 32767.0
SPEECH_RMS: Final = 2400.0

_HARMONICS: Final = 40
MUFFLED_HZ: Final = (8000.0, 2600.0, 1500.0, 900.0)
_VOWELS: Final = {
    "i": (270.0, 2290.0, 3010.0), "e": (530.0, 1840.0, 2480.0), "a": (730.0, 1090.0, 2440.0),
    "o": (570.0, 840.0, 2410.0), "u": (300.0, 870.0, 2240.0), "r": (490.0, 1350.0, 1690.0),
}  # fmt: skip
_HISSES: Final = {"s": 6200.0, "f": 4200.0, "k": 2600.0, "t": 5200.0}
_SPELLING: Final = {
    "wake": "uu ee ee i k", "call": "k oo oo oo u", "stop": "s t a aa - k", "yes": "i ee e s s",
    "no": "e oo oo o u", "left": "i e ee f t", "right": "r aa a i i t",
}  # fmt: skip
"""Each letter is one tenth of a command, more or less: vowels, hisses and ``-`` for silence."""


LETTERS: Final = "".join([*_VOWELS, *_HISSES])


class Speakers(NamedTuple):
    """One row a speaker; all arrays of length n."""

    pitch_hz: Floats
    tract: Floats
    """Factor on all formants: 1 for the table's men, more for shorter tracts."""
    tempo: Floats
    breath: Floats
    glide: Floats
    """By how much the pitch falls over the command, as a share."""
    seed: Indices


def draw_speakers(rng: np.random.Generator, count: int) -> Speakers:
    """Draw speakers."""

    def some(low: float, high: float) -> Floats:
        return rng.uniform(low, high, count).astype(np.float32)

    return Speakers(
        np.exp(some(float(np.log(85.0)), float(np.log(260.0)))), some(0.92, 1.22),
        some(0.82, 1.2), some(0.02, 0.15), some(-0.1, 0.3), rng.integers(0, 2**31, count),
    )  # fmt: skip


def _score(word: str, tempo: float) -> tuple[Floats, Floats, Floats]:
    """Formants (frames, 3), loudness of the voice and centre of the hiss by frame (0: none)."""
    spelled = _SPELLING.get(word, word)
    letters = [letter for group in spelled.split() for letter in group]
    length = 5.6 * tempo
    start = (FRAMES - length * len(letters)) / 2
    formants = np.zeros((FRAMES, 3), dtype=np.float32)
    voice, hiss = np.zeros(FRAMES, dtype=np.float32), np.zeros(FRAMES, dtype=np.float32)
    last = _VOWELS["e"]
    for frame in range(FRAMES):
        at = int((frame - start) // length)
        if 0 <= at < len(letters):
            letter = letters[at]
            last = _VOWELS.get(letter, last)
            voice[frame] = letter in _VOWELS
            hiss[frame] = _HISSES.get(letter, 0.0)
        formants[frame] = last
    smooth = np.ones(5, dtype=np.float32) / np.float32(5)
    for column in range(3):
        formants[:, column] = np.convolve(
            np.pad(formants[:, column], 2, mode="edge"), smooth, mode="valid"
        )
    return formants, np.convolve(voice, smooth, mode="same").astype(np.float32), hiss


def say(word: str, speakers: Speakers, who: int) -> Floats:
    """One command by one speaker, unit root mean square, float32, shape (12512,).

    A word that is no command is taken for its spelling: letters of `LETTERS`, one a tenth of a second
    or so. "none" is silence.
    """
    if word == LABELS[0]:
        return np.zeros(SAMPLES, dtype=np.float32)
    rng = np.random.Generator(np.random.Philox(key=int(speakers.seed[who])))
    formants, voice, hiss = _score(word, float(speakers.tempo[who]))
    fall = 1.0 - float(speakers.glide[who]) * np.linspace(0.0, 1.0, FRAMES)
    pitch = (float(speakers.pitch_hz[who]) * fall).astype(np.float32)
    centre = formants * speakers.tract[who]
    tone = _harmonics(pitch, centre, voice)
    noise = rng.standard_normal(SAMPLES).astype(np.float32)
    clip = tone + float(speakers.breath[who]) * noise * _samples(voice)
    clip += _hissing(noise, hiss)
    level = float(np.sqrt(np.mean(clip * clip)))
    return (clip / np.float32(max(level, 1e-6))).astype(np.float32)


def _samples(by_frame: Floats) -> Floats:
    at = np.arange(SAMPLES, dtype=np.float32) / np.float32(HOP)
    made: Floats = np.interp(at, np.arange(FRAMES, dtype=np.float32), by_frame).astype(np.float32)
    return made


def _harmonics(pitch: Floats, centre: Floats, voice: Floats) -> Floats:
    phase = 2.0 * np.pi * np.cumsum(_samples(pitch).astype(np.float64)) / RATE_HZ
    # cos((k + 1) x) = 2 cos x cos kx - cos((k - 1) x): one cosine serves all harmonics.
    first = np.cos(phase)
    before, now = np.ones_like(first), first
    out = np.zeros(SAMPLES, dtype=np.float64)
    bandwidth = np.array([90.0, 110.0, 170.0], dtype=np.float32)
    for k in range(1, _HARMONICS + 1):
        hertz = pitch * np.float32(k)
        if float(hertz.min()) > RATE_HZ / 2 - 500:
            break
        away = (hertz[:, None] - centre) / bandwidth
        shape = (np.array([1.0, 0.6, 0.35], np.float32) / (1.0 + away * away)).sum(axis=1)
        out += now * _samples((shape * voice / np.float32(np.sqrt(k))).astype(np.float32))
        before, now = now, 2.0 * first * now - before
    return out.astype(np.float32)


def _hissing(noise: Floats, hiss: Floats) -> Floats:
    """Noise around a centre where the command hisses."""
    out = np.zeros(SAMPLES, dtype=np.float32)
    carrier = np.arange(SAMPLES, dtype=np.float64) * (2.0 * np.pi / RATE_HZ)
    slow = np.convolve(noise, np.ones(8, dtype=np.float32) / np.float32(8), mode="same")
    for centre in sorted({float(value) for value in hiss if value > 0}):
        gate = _samples((hiss == np.float32(centre)).astype(np.float32))
        out += gate * slow * np.cos(carrier * centre).astype(np.float32) * np.float32(1.4)
    return out


def low_pass(clips: Floats, cut_hz: float) -> Floats:
    """A covered microphone: first-order low-pass squared, by its spectrum; rows of samples."""
    hertz = np.fft.rfftfreq(SAMPLES, 1.0 / RATE_HZ)
    gain = 1.0 / (1.0 + (hertz / cut_hz) ** 2)
    made: Floats = np.fft.irfft(np.fft.rfft(clips, axis=1) * gain, n=SAMPLES, axis=1).astype(
        np.float32
    )
    return made


def road_noise(rng: np.random.Generator, count: int) -> Floats:
    """Tyres and wind: noise that falls with frequency, unit root mean square, shape (n, 12512)."""
    white = rng.standard_normal((count, SAMPLES), dtype=np.float32)
    hertz = np.fft.rfftfreq(SAMPLES, 1.0 / RATE_HZ)
    gain = 1.0 / (1.0 + hertz / 220.0)
    shaped = np.fft.irfft(np.fft.rfft(white, axis=1) * gain, n=SAMPLES, axis=1)
    level = np.sqrt(np.mean(shaped * shaped, axis=1, keepdims=True))
    made: Floats = (shaped / level).astype(np.float32)
    return made


@lru_cache(maxsize=1)
def word_bank() -> Floats:
    """Every (muffle, speaker, word) once, unit root mean square; shape (4 * 8 * 8, 12512), 13 MB."""
    speakers = draw_speakers(np.random.Generator(np.random.Philox(key=0x776F7264)), SPEAKERS)
    clear = np.stack([say(word, speakers, who) for who in range(SPEAKERS) for word in LABELS])
    bank = np.concatenate([clear, *(low_pass(clear, cut) for cut in MUFFLED_HZ[1:])])
    bank.setflags(write=False)
    return bank


@lru_cache(maxsize=1)
def noise_bank() -> Floats:
    """Textures of road noise, shape (64, 12512), 3 MB."""
    noise = road_noise(np.random.Generator(np.random.Philox(key=0x74797265)), NOISES)
    noise.setflags(write=False)
    return noise


class Clips(NamedTuple):
    """One row a clip; all arrays of length n."""

    bank: Indices
    """Row of `word_bank`: ``(muffle * 8 + speaker) * 8 + label``."""
    gain: Floats
    """Root mean square of the speech, in steps of 16-bit audio."""
    noise: Indices
    noise_gain: Floats
    delay: Indices
    """Samples by which the command comes late, -1600 .. 1600."""

    def window(self, part: slice) -> Clips:
        """Some rows, as views."""
        return Clips(
            self.bank[part], self.gain[part], self.noise[part], self.noise_gain[part],
            self.delay[part],
        )  # fmt: skip


def record(clips: Clips) -> Sound:
    """Mix clips: 16-bit audio, shape (n, 12512)."""
    audio = np.empty((len(clips.bank), SAMPLES), dtype=np.float32)
    words, noises = word_bank(), noise_bank()
    for row, (at, delay) in enumerate(zip(clips.bank.tolist(), clips.delay.tolist(), strict=True)):
        audio[row] = np.roll(words[at], delay)
    audio *= clips.gain[:, None]
    audio += noises[clips.noise] * clips.noise_gain[:, None]
    np.clip(audio, -FULL_SCALE, FULL_SCALE, out=audio)
    return np.rint(audio, out=audio).astype(np.int16)
