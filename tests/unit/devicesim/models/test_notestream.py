from __future__ import annotations

import numpy as np
import pytest

from devicesdk.inference import notes
from devicesdk.inference.wordpiece import WordPiece
from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.entropy import Entropy
from devicesim.models import notestream
from devicesim.models.datastream import Condition
from devicesim.models.notestream import NoteStream, write


def technician():
    return NoteStream(Entropy(1), "t")


@pytest.mark.parametrize("number", range(0, notestream.NOTES, 7))
def test_the_headline_says_what_is_wrong(number):
    note = write(number, 0, 0, 0, 0)
    sentences = notes.split(note.text)
    assert len(sentences) == notestream.SENTENCES
    headline = sentences[note.headline]
    assert any(headline.endswith(f"{item[3]}.") for item in notestream._ITEMS), headline


def test_bendings_do_what_they_say():
    plain = write(3, 0, 0, 0, 0)
    assert len(notes.split(write(3, 4, 0, 0, 0).text)) == notestream.SENTENCES - 3, (
        "sentences missing"
    )
    aside = notes.split(write(3, 0, 0, 4, 0).text)
    assert sum(s in notestream._ASIDE for s in aside) == notestream.SENTENCES - 1
    wrong = write(3, 0, 4, 0, 0).text.split(" ")
    same = [a == b for a, b in zip(plain.text.split(" "), wrong, strict=True)]
    assert 0.2 < np.mean(same) < 0.8, "long words have a wrong letter, short ones none"
    news = [write(number, 0, 0, 0, 4).text for number in range(20)]
    assert all("inverter" in text or "charging post" in text for text in news)


def test_a_cut_burst_has_the_head_of_the_whole_one():
    spec = technician().burst(HOUR, 9, SECOND)
    assert notestream.expand([spec], [9])[:4] == notestream.expand([spec], [4])
    assert len({note.text for note in notestream.expand([spec], [9])}) > 4


def test_faults_are_in_quarters_and_end():
    stream = technician()
    before = stream.burst(0, 1, SECOND)
    token = stream.apply(Condition.HAZE, 0.6, 0)
    assert stream.burst(0, 1, SECOND).misspelt == 2
    stream.undo(token)
    assert stream.burst(0, 1, SECOND) == before
    token = stream.apply(Condition.STUCK, 0.0, 0)
    assert len({n.text for n in notestream.expand([stream.burst(HOUR, 9, SECOND)], [9])}) == 1
    stream.undo(token)


def test_pages_are_made_once_and_carry_the_truth():
    tokenizer = WordPiece("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe")
    pages = notestream.Pages(tokenizer)
    spec = technician().burst(0, 5, SECOND)
    samples, truth = pages.samples([spec], [5])
    again, _ = pages.samples([spec], [5])
    assert all(a is b for a, b in zip(samples, again, strict=True))
    expected = [note.headline / 7 for note in notestream.expand([spec], [5])]
    assert truth.tolist() == pytest.approx(expected)
