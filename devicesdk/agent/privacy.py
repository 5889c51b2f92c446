"""Privacy mode on the device: what of a window is noised, and the luck that the noise comes from.

Decides that noise is drawn here, before anything leaves, from a generator that nobody who sees windows
can run: SHA-256 in counter mode over the device's seed and boot. Leaves out the mechanism and its
accounting (devicesdk/sketches/laplace.py) and what a gateway makes of noisy windows.

Rules: the noise is as secret as the seed. A real host hands in 256 bits of its operating system's entropy,
new with each start (devicesdk/host); a simulated one is seeded by its scenario and hides nothing. Without
enough frames there are no histograms of inputs at all; sketches, top readings and anything else that
quotes inputs stay at home: so do frames (nothing is offloaded, whatever consent says) and the bound that
recalibration moved, and no candidate runs in the shadow, whose comparison would be exact. Alarms, and the
event of a candidate that broke its guardrails, are one bit that the owner asked for and are not covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from devicesdk.sketches.histogram import pack
from devicesdk.sketches.laplace import noisy, offset_of

_WORD_BITS: Final = 64
_WORDS_A_BLOCK: Final = 4


class Secret:
    """Unpredictable draws of one boot.

    Args:
        seed: any integer; all of its bits count.
        boot_id: which boot this is.
    """

    __slots__ = ("_counter", "_key", "_words")

    def __init__(self, seed: int, boot_id: int) -> None:
        material = f"fleetdrill/noise/{seed}/{boot_id}".encode()
        self._key = sha256(material).digest()
        self._counter = 0
        self._words: list[int] = []

    def below(self, bound: int) -> int:
        """An integer in [0, bound), exactly even: draws that would lean are thrown away."""
        limit = (1 << _WORD_BITS) // bound * bound
        while True:
            word = self._word()
            if word < limit:
                return word % bound

    def _word(self) -> int:
        if not self._words:
            block = sha256(self._key + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
            step = _WORD_BITS // 8
            self._words = [
                int.from_bytes(block[i * step : (i + 1) * step], "big")
                for i in range(_WORDS_A_BLOCK)
            ]
        return self._words.pop()


class Veil:
    """Adds noise to what is counted.

    Args:
        secret: the boot's draws.
        epsilon_permille: privacy loss of one window.
        frames_min: below, nothing of the inputs is told.
    """

    __slots__ = ("_secret", "epsilon_permille", "frames_min")

    def __init__(self, secret: Secret, epsilon_permille: int, frames_min: int) -> None:
        self._secret = secret
        self.epsilon_permille = epsilon_permille
        self.frames_min = frames_min

    def pack(self, counts: Sequence[int]) -> bytes:
        """A histogram of inputs as it travels: noise and offset added."""
        return pack(noisy(counts, self.epsilon_permille, self._secret.below))

    def errors(self, errors: dict[str, int], labels: Sequence[str]) -> dict[str, int]:
        """Counts of all the errors that there could be, noised; what came out at zero or less is left
        out, which is post-processing and tells nothing more."""
        counts = [errors.get(label, 0) for label in labels]
        offset = offset_of(self.epsilon_permille)
        told = noisy(counts, self.epsilon_permille, self._secret.below)
        return {
            label: count - offset
            for label, count in zip(labels, told, strict=True)
            if count > offset
        }
