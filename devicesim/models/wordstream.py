"""What each vehicle's microphone hears: its driver, the road, the cabin, and luck.

Decides which commands are spoken, how loud, over what noise, and how data faults bend what is heard.
Leaves out sound (devicesdk/inference/words.py) and models.

Theory of operation. A driver is one of the bank's voices for life; whether a clip holds a command, and
which, is drawn from that frame's own luck, so that a burst cut short heard the same as the head of the
whole one. What a device draws comes from a stream of its own (``wordstream``).

Conditions mean in a cabin: ``dim`` a quieter driver (30 dB at 1), ``haze`` more road noise (12 times at 1),
``blur`` a covered microphone, ``prior_shift`` that share of the clips without a command hears one more
"stop" (a talkative radio), ``stuck`` a microphone that repeats itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from devicesdk.inference import words
from devicesdk.inference.dials import Floats
from devicesdk.wire.timebase import MS
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import Condition
from devicesim.models.faultbook import FaultBook

_SILENT_SHARE: Final = 0.4
_STOP: Final = words.LABELS.index("stop")
_LAST: Final = len(words.LABELS) - 1
_MASK_32: Final = 2**32 - 1
_DELAY_MAX: Final = 1600


class WordSpec(NamedTuple):
    """A burst of clips, described; numbers only."""

    frames: int
    speaker: int
    muffled: int
    gain: float
    noise_gain: float
    chatter: float
    """Share of silent clips in which the radio says "stop"."""
    luck: int
    luck_step: int


class WordStream:
    """One vehicle's microphone; used as `datastream.GaugeStream` is.

    Args:
        entropy: the run's master seed.
        device: name of the device.
    """

    __slots__ = ("_book", "_gain", "_luck", "_noise", "_speaker", "_still")

    def __init__(self, entropy: Entropy, device: str) -> None:
        stream = entropy.stream("wordstream", device)
        self._luck = stream.integer(2**32)
        self._speaker = stream.integer(words.SPEAKERS)
        self._gain = words.SPEECH_RMS * stream.lognormal(1.0, 0.2)
        self._noise = 120.0 * stream.lognormal(1.0, 0.4)
        self._book = FaultBook()
        self._still: WordSpec | None = None

    def burst(self, now: int, frames: int, period_ns: int) -> WordSpec:
        """Describe `frames` clips, one every `period_ns`, the first at `now`."""
        del period_ns
        if self._still is not None:
            return self._still._replace(frames=frames)
        book = self._book
        return WordSpec(
            frames, self._speaker, round(book.left_of(Condition.BLUR) * (words.MUFFLED - 1)),
            self._gain * 10.0 ** (-1.5 * book.left_of(Condition.DIM)),
            self._noise * (1.0 + 11.0 * book.left_of(Condition.HAZE)),
            min(1.0, abs(book.sum_of(Condition.PRIOR_SHIFT))),
            (self._luck + now // MS) & _MASK_32, 1,
        )  # fmt: skip

    def apply(self, condition: Condition, amount: float, now: int) -> int:
        """Begin a data fault; returns a token for `undo`.

        Raises:
            ValueError: the amount is out of range, or too many faults are active.
        """
        token = self._book.apply(condition, amount)
        if condition is Condition.STUCK and self._still is None:
            self._still = self.burst(now, 1, 0)._replace(luck_step=0)
        return token

    def undo(self, token: int) -> None:
        """End the fault of this token.

        Raises:
            KeyError: no such fault is active.
        """
        self._book.undo(token)
        if not self._book.has(Condition.STUCK):
            self._still = None


class Heard(NamedTuple):
    """Clips ready to be mixed, one a row."""

    clips: words.Clips
    values: Floats
    """The command as a share of the last label: the truth that a reading is judged by."""

    def window(self, start: int, stop: int) -> Heard:
        """The rows from `start` to before `stop`, as views."""
        part = slice(start, stop)
        return Heard(self.clips.window(part), self.values[part])


def expand(specs: Sequence[WordSpec], counts: Sequence[int]) -> Heard:
    """Lay out clips of these bursts, in order, in one go; as `datastream.expand`."""
    width = len(WordSpec._fields)
    numbers = np.fromiter(chain.from_iterable(specs), dtype=np.float64, count=width * len(specs))
    taken = np.array(counts, dtype=np.int64)
    first = np.cumsum(taken) - taken
    rows = np.repeat(numbers.reshape(-1, width), taken, axis=0)
    _, speaker, muffled, gain, noise_gain, chatter, seed, stride = rows.T
    step = (np.arange(len(rows), dtype=np.int64) - np.repeat(first, taken)) * stride.astype(
        np.int64
    )
    luck = datastream.scramble(seed.astype(np.uint64), step)
    again = datastream.scramble(luck, np.ones(len(rows), dtype=np.int64))
    share = again.astype(np.float64) * 2.0**-32
    label = 1 + (luck % np.uint64(_LAST)).astype(np.int64)
    silent = share < _SILENT_SHARE
    label[silent] = np.where(share[silent] / _SILENT_SHARE < chatter[silent], _STOP, 0)
    lateness = (luck >> np.uint64(12)) % np.uint64(2 * _DELAY_MAX + 1)
    bank = (muffled.astype(np.int64) * words.SPEAKERS + speaker.astype(np.int64)) * (_LAST + 1)
    clips = words.Clips(
        bank + label, gain.astype(np.float32), (again % np.uint64(words.NOISES)).astype(np.int64),
        noise_gain.astype(np.float32), lateness.astype(np.int64) - _DELAY_MAX,
    )  # fmt: skip
    return Heard(clips, (label / _LAST).astype(np.float32))
