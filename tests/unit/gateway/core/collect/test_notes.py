from __future__ import annotations

from gateway.core.collect import notes


def test_every_kind_has_a_sentence_that_its_fields_fill():
    kinds = {value for name, value in vars(notes).items() if name.isupper() and name != "SENTENCES"
             and isinstance(value, str)}  # fmt: skip
    kinds |= set(notes.RAISED.values())
    assert kinds == set(notes.SENTENCES)
    for sentence in notes.SENTENCES.values():
        assert sentence.format(subject="abc/arm64/eu:luminance", a=31, b=2100).endswith(".")
    drift = notes.SENTENCES[notes.RAISED["data"]]
    assert drift.format(subject="abc/arm64/eu:luminance", a=31, b=2100) == (
        "Drift in abc/arm64/eu:luminance: the inputs have moved (PSI 31 permille, 2100 frames)."
    )
