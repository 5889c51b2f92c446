"""Text to the numbers that BERT models read: normalising, splitting, longest pieces first.

Decides how one sentence becomes token numbers, by the published algorithm of BERT's uncased tokenizer
(Devlin et al. 2019, arXiv:1810.04805; Wu et al. 2016, arXiv:1609.08144, section 4.1): clean, lower case,
accents off, split at spaces and punctuation, then greedily the longest piece that the vocabulary has.
Leaves out the vocabulary itself: it travels with the model that was schooled with it.

Rules: what has no pieces is one ``[UNK]``; a word longer than `WORD_CHARS_MAX` is too; nothing here depends
on the platform's locale.
"""

from __future__ import annotations

import unicodedata
from typing import Final

WORD_CHARS_MAX: Final = 100
_PAD, _UNKNOWN, _FIRST, _LAST = "[PAD]", "[UNK]", "[CLS]", "[SEP]"


class VocabularyError(ValueError):
    """The text is not a vocabulary."""


class WordPiece:
    """A tokenizer.

    Args:
        vocabulary: one piece a line, its number is its line; continuations begin with ``##``.

    Raises:
        VocabularyError: a special piece is missing, or a piece stands twice.
    """

    __slots__ = ("_numbers", "first", "last", "pad", "unknown")

    def __init__(self, vocabulary: str) -> None:
        pieces = vocabulary.split("\n")
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        missing = [p for p in (_PAD, _UNKNOWN, _FIRST, _LAST) if p not in self._numbers]
        if missing or len(self._numbers) != len(pieces):
            raise VocabularyError(
                f"expected a vocabulary of different pieces with {_PAD}, {_UNKNOWN}, {_FIRST} and "
                f"{_LAST}, found {len(pieces)} lines, {len(self._numbers)} of them different, without "
                f"{missing}"
            )
        self.pad, self.unknown = self._numbers[_PAD], self._numbers[_UNKNOWN]
        self.first, self.last = self._numbers[_FIRST], self._numbers[_LAST]

    def encode(self, sentence: str, length: int) -> list[int]:
        """Numbers of one sentence: first, pieces, last, padding; cut to `length`."""
        numbers = [self.first]
        for word in words(sentence):
            numbers += self._pieces(word)
            if len(numbers) >= length:
                break
        numbers = [*numbers[: length - 1], self.last]
        return numbers + [self.pad] * (length - len(numbers))

    def _pieces(self, word: str) -> list[int]:
        if len(word) > WORD_CHARS_MAX:
            return [self.unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self._numbers.get(mark + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return [self.unknown]
        return found


def words(text: str) -> list[str]:
    """Split normalised text at spaces, punctuation and ideographs."""
    clean = unicodedata.normalize("NFD", "".join(map(_cleaned, text)).lower())
    spaced = "".join(_spaced(char) for char in clean if unicodedata.category(char) != "Mn")
    return spaced.split()


def _cleaned(char: str) -> str:
    if char in "\t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    return "" if char in "\0\ufffd" or unicodedata.category(char).startswith("C") else char


def _spaced(char: str) -> str:
    code = ord(char)
    ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    ideograph = 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or 0xF900 <= code <= 0xFAFF
    alone = ascii_mark or ideograph or unicodedata.category(char).startswith("P")
    return f" {char} " if alone else char
