from __future__ import annotations

from devicesdk.wire.errors import Nack, Wait
from gateway.core.transfers import notes


def test_every_kind_has_a_sentence_that_its_fields_fill() -> None:
    kinds = {
        *notes.REFUSED.values(),
        *notes.DELAYED.values(),
        notes.BEGUN,
        notes.LAPSED,
        notes.FULL,
    }
    assert kinds == set(notes.SENTENCES)
    assert len(kinds) == len(Nack) + len(Wait) + 3
    for sentence in notes.SENTENCES.values():
        assert sentence.format(subject="kiosk-1", a=1, b=2).endswith(".")
    refused = notes.SENTENCES[notes.REFUSED[Nack.GONE]]
    assert refused.format(subject="kiosk-1", a=7, b=9) == (
        "Request 9 of device kiosk-1 in transfer 7 was refused: Gone."
    )
