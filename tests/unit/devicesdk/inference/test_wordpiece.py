from __future__ import annotations

import pytest

from devicesdk.inference.wordpiece import VocabularyError, WordPiece, words

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pump", "##s", "leak", "##ing", "cafe", ",", ".", "a"]
TOKENIZER = WordPiece("\n".join(PIECES))


def spelled(text, length=12):
    return [PIECES[number] for number in TOKENIZER.encode(text, length)]


def test_the_longest_pieces_come_first():
    assert spelled("pumps leaking", 8) == [
        "[CLS]", "pump", "##s", "leak", "##ing", "[SEP]", "[PAD]", "[PAD]",
    ]  # fmt: skip


def test_case_accents_controls_and_punctuation_do_not_matter():
    assert spelled("CAFÉ,\u0000a\u200bPUMP.", 8) == spelled("cafe , apump .", 8)
    assert words("Café,\tnow!") == ["cafe", ",", "now", "!"]
    assert words("泵 pump泵") == ["泵", "pump", "泵"], "an ideograph is a word"


def test_what_has_no_pieces_is_unknown():
    assert spelled("zebra pump", 5) == ["[CLS]", "[UNK]", "pump", "[SEP]", "[PAD]"]
    assert spelled("pump" + "s" * 200, 3) == ["[CLS]", "[UNK]", "[SEP]"]


def test_a_long_sentence_is_cut_and_still_ends():
    assert spelled("pump " * 40, 6) == ["[CLS]", *["pump"] * 4, "[SEP]"]


@pytest.mark.parametrize("text", ["", "pump\nleak", "[PAD]\n[UNK]\n[CLS]\n[SEP]\npump\npump"])
def test_what_is_no_vocabulary_is_refused(text):
    with pytest.raises(VocabularyError, match="expected a vocabulary"):
        WordPiece(text)
