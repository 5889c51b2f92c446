"""Every kind of note has its sentence."""

from __future__ import annotations

from gateway.core.experiments import notes


def test_every_kind_has_one_sentence_that_can_be_filled_in():
    kinds = {v for n, v in vars(notes).items() if n.isupper() and isinstance(v, str)}
    assert set(notes.SENTENCES) == kinds - {notes.REFUSED}
    for kind, sentence in notes.SENTENCES.items():
        assert sentence.format(subject="e1", a=1, b=2).endswith("."), kind
