from __future__ import annotations

import numpy as np

from devicesdk.inference import notes
from devicesdk.inference.wordpiece import WordPiece

TOKENIZER = WordPiece("[PAD]\n[UNK]\n[CLS]\n[SEP]\npump\nleaks\nrain")


def unit(*rows):
    made = np.array(rows, dtype=np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_a_note_is_split_into_its_sentences():
    assert notes.split("One.  Two!\nThree\n\n...") == ["One.", "Two!", "Three"]


def test_a_page_has_a_row_a_sentence_and_says_what_it_leaves_out():
    made = notes.page("pump leaks. " * 10, TOKENIZER)
    assert made.ids.shape == (8, 24)
    assert made.ids[0].tolist()[:6] == [2, 4, 5, 1, 3, 0], "first, pump, leaks, unknown, last, pad"
    assert len(made.sentences) == 8
    assert made.left_out == 2
    short = notes.page("rain", TOKENIZER)
    assert not short.ids[1:].any(), "rows behind the last sentence are padding"


def test_the_second_choice_is_telling_and_no_repetition():
    # Two sentences say the same, a third tells more about it, a fourth is about something else.
    embeddings = unit((1, 0, 0), (1, 0.01, 0), (0.7, 0.7, 0), (0, 0, 1))
    salience = np.array([0.4, 0.3, 0.2, 0.1], dtype=np.float32)
    assert notes.choose(embeddings, salience, 4, 2, diversity=0.35) == [0, 2]
    assert notes.choose(embeddings, salience, 4, 2, diversity=0.0) == [0, 1], "the most telling two"
    assert notes.choose(embeddings, salience, 4, 2, diversity=1.0) == [0, 3], "the least alike two"
    assert notes.choose(embeddings, salience, 4, 9) == [0, 1, 2, 3]
    assert notes.choose(embeddings, salience, 1, 2) == [0]


def test_a_summary_is_in_the_order_of_the_note_and_invents_nothing():
    def run(ids):
        assert ids.dtype == np.int32
        return np.array([0.1, 0.2, 0.7], dtype=np.float32), unit((1, 0), (0, 1), (1, 1))

    said = notes.summarise("Rain. Pump. Leaks!", TOKENIZER, run)
    assert said in ("Rain. Leaks!", "Pump. Leaks!")
    assert notes.summarise("  ", TOKENIZER, run) == ""
