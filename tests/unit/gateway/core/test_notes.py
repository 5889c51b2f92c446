"""Every kind of note has its sentence."""

from __future__ import annotations

from gateway.core import notes


def kinds():
    return {value for name, value in vars(notes).items() if name.isupper() and name != "SENTENCES"}


def test_every_kind_has_one_sentence():
    assert set(notes.SENTENCES) == kinds()


def test_every_sentence_can_be_filled_in():
    for kind, sentence in notes.SENTENCES.items():
        said = sentence.format(subject="d1", a=1, b=2)
        assert said.endswith("."), f"{kind} is no sentence: {said}"
        assert "{" not in said
