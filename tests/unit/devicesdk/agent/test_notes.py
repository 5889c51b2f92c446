"""Each note has a short name and one sentence."""

from __future__ import annotations

import re

from devicesdk.agent.notes import NoteKind


def test_names_are_short_and_sentences_are_sentences():
    for kind in NoteKind:
        assert re.fullmatch(r"[a-z_]{4,24}", kind), kind
        assert kind.sentence[0].isupper() or kind.sentence[0] == "a", kind
        assert kind.sentence.endswith("."), f"{kind}: {kind.sentence}"


def test_a_note_kind_is_its_name():
    assert NoteKind("online") is NoteKind.ONLINE
    assert NoteKind.ONLINE == "online"
    assert f"{NoteKind.ONLINE}" == "online"
