"""What each technician writes: notes from a small grammar, and luck.

Decides the texts of a fleet's notes and how data faults bend them. Leaves out tokens
(devicesdk/inference/notes.py) and models.

Theory of operation. A note is six sentences: one says what is wrong with an item, two tell more about
the same item, one says what was done, two are about something else; their order is shuffled. There are
`NOTES` notes of each kind of bending, all drawn from one counter-based generator, so a note is known by
a few small numbers and a model need not read it twice. The sentence that a perfect reader would put
first is the one that says what is wrong.

Conditions mean on paper: ``dim`` that share of the sentences about the item is missing, ``haze`` that share
of the words has a wrong letter, ``blur`` that share of the sentences is about something else,
``prior_shift`` that share of the notes is about items that no note was about before, ``stuck`` the same
note again and again. Shares are in quarters: four amounts of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from devicesdk.inference import notes
from devicesdk.inference.dials import Floats
from devicesdk.inference.tasks import Sample
from devicesdk.inference.wordpiece import WordPiece
from devicesdk.wire.timebase import MS
from devicesim.entropy import Entropy
from devicesim.models.datastream import Condition
from devicesim.models.faultbook import FaultBook

NOTES: Final = 64
STEPS: Final = 4
SENTENCES: Final = 6
_MASK_32: Final = 2**32 - 1
_LETTERS: Final = "etaoinshrdlu"

_ITEMS: Final = (
    ("pump in hall {n}", "shaft seal", "oil", "leaks at the shaft seal", "The oil level fell by {m} litres"),
    ("conveyor {n}", "drive belt", "belt tension", "stops under load", "The belt slips at {m} kilos a metre"),
    ("cold room {n}", "compressor", "temperature", "does not stay cold", "It was {m} degrees warm inside"),
    ("lift {n}", "door sensor", "door", "opens its doors between floors", "The sensor missed {m} of ten tries"),
    ("boiler {n}", "burner", "flame", "goes out at night", "The flame failed {m} times since Monday"),
    ("gate {n}", "motor", "gearbox", "stands half open", "The motor draws {m} ampere too much"),
)  # fmt: skip
_NEW_ITEMS: Final = (
    ("solar inverter {n}", "fan", "yield", "shuts down at noon", "Its yield fell by {m} percent"),
    (
        "charging post {n}",
        "cable lock",
        "plug",
        "does not release the plug",
        "Drivers waited {m} minutes",
    ),
)
_DONE: Final = (
    "I replaced the {part} of the {item}.", "A new {part} for the {item} is on order.",
    "I cleaned the {part} and the {item} runs again.", "The {item} stays off until the {part} is changed.",
)  # fmt: skip
_MORE: Final = (
    "The {part} of the {item} is worn.", "We checked the {word} of the {item} twice.",
    "The {word} alarm of the {item} came up in the morning.",
)  # fmt: skip
_ASIDE: Final = (
    "Parking behind the building was full.", "It rained all the way.", "The canteen closes at two now.",
    "The porter has a new dog.", "My van needs fuel.", "The lights in the corridor are very bright.",
    "Lunch was good.", "The visitor book had no pen.",
)  # fmt: skip


class NoteSpec(NamedTuple):
    """A burst of notes, described; numbers only. The four bendings are in quarters, 0 .. 4."""

    frames: int
    short: int
    misspelt: int
    aside: int
    novel: int
    luck: int
    luck_step: int


class Note(NamedTuple):
    """One note."""

    text: str
    headline: int
    """Which sentence a perfect reader would put first."""


class NoteStream:
    """One technician; used as `datastream.GaugeStream` is.

    Args:
        entropy: the run's master seed.
        device: name of the device.
    """

    __slots__ = ("_book", "_luck", "_still")

    def __init__(self, entropy: Entropy, device: str) -> None:
        self._luck = entropy.stream("notestream", device).integer(2**32)
        self._book = FaultBook()
        self._still: NoteSpec | None = None

    def burst(self, now: int, frames: int, period_ns: int) -> NoteSpec:
        """Describe `frames` notes, one every `period_ns`, the first at `now`."""
        del period_ns
        if self._still is not None:
            return self._still._replace(frames=frames)

        def quarters(share: float) -> int:
            return round(min(1.0, abs(share)) * STEPS)

        book = self._book
        return NoteSpec(
            frames, quarters(book.left_of(Condition.DIM)), quarters(book.left_of(Condition.HAZE)),
            quarters(book.left_of(Condition.BLUR)), quarters(book.sum_of(Condition.PRIOR_SHIFT)),
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


@lru_cache(maxsize=4096)
def write(number: int, short: int, misspelt: int, aside: int, novel: int) -> Note:
    """Note `number` under the four bendings, each in quarters."""
    rng = np.random.Generator(np.random.Philox(key=0x6E6F746573 + number))
    pick = rng.integers(0, 1 << 30, 16).tolist()
    unfamiliar = pick[0] % STEPS < novel
    items = _NEW_ITEMS if unfamiliar else _ITEMS
    name, part, word, fault, evidence = items[pick[1] % len(items)]
    item = name.format(n=1 + pick[2] % 9)
    facts = [f"The {item} {fault}.", f"{evidence.format(m=2 + pick[3] % 7)} on the {item}."]
    facts.append(_MORE[pick[4] % len(_MORE)].format(part=part, item=item, word=word))
    facts.append(_DONE[pick[5] % len(_DONE)].format(part=part, item=item))
    gone = max(short, aside) * (len(facts) - 1) // STEPS
    facts = facts[: len(facts) - gone]
    wanted = SENTENCES - len(facts) - (gone if short > aside else 0)
    first = pick[6] % len(_ASIDE)
    body = facts + [_ASIDE[(first + index) % len(_ASIDE)] for index in range(wanted)]
    order = np.argsort(rng.random(len(body)), kind="stable").tolist()
    text = " ".join(body[index] for index in order)
    if misspelt:
        text = _misspell(text, misspelt / STEPS, rng)
    return Note(text, order.index(0))


def is_aside(sentence: str) -> bool:
    """Whether a sentence of a note is about something else than its item."""
    return sentence in _ASIDE


def _misspell(text: str, share: float, rng: np.random.Generator) -> str:
    made = []
    for word in text.split(" "):
        stem = word.rstrip(".")
        if len(stem) > 3 and rng.random() < share:
            at = int(rng.integers(1, len(stem) - 1))
            letter = _LETTERS[int(rng.integers(0, len(_LETTERS)))]
            made.append(word[:at] + letter + word[at + 1 :])
        else:
            made.append(word)
    return " ".join(made)


def expand(specs: Sequence[NoteSpec], counts: Sequence[int]) -> list[Note]:
    """The notes of these bursts, in order: the first `counts` of each."""
    found = []
    for spec, count in zip(specs, counts, strict=True):
        for step in range(count):
            luck = (spec.luck + step * spec.luck_step * 0x9E3779B1) & _MASK_32
            number = (luck * 0x85EBCA6B >> 13) % NOTES
            found.append(write(number, spec.short, spec.misspelt, spec.aside, spec.novel))
    return found


class Pages:
    """Makes model input of notes.

    Args:
        tokenizer: of the model that reads them.
    """

    __slots__ = ("_pages", "_tokenizer")

    def __init__(self, tokenizer: WordPiece) -> None:
        self._tokenizer = tokenizer
        self._pages: dict[str, Sample] = {}

    def sample(self, note: Note) -> Sample:
        """One note as input; made once."""
        made = self._pages.get(note.text)
        if made is None:
            made = self._pages[note.text] = {"ids": notes.page(note.text, self._tokenizer).ids}
        return made

    def samples(
        self, specs: Sequence[NoteSpec], counts: Sequence[int]
    ) -> tuple[list[Sample], Floats]:
        """The notes of bursts as inputs, and what a perfect reader would say of each, 0 .. 1."""
        found = expand(specs, counts)
        truth = np.array([note.headline for note in found], dtype=np.float32)
        return [self.sample(note) for note in found], truth / np.float32(notes.SENTENCES_MAX - 1)
