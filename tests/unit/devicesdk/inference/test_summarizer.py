from __future__ import annotations

import pytest

from devicesdk.inference import notes
from devicesdk.inference.onnx import ModelError
from devicesdk.inference.summarizer import Summarizer
from devicesim.models import notestream
from tests_kit.blueprints import MODELS, completed


def test_a_note_becomes_its_telling_sentences():
    completed("notes/1.1.0")
    summarizer = Summarizer((MODELS / "notes/1.1.0/fp32.onnx").read_bytes())
    for number in range(8):
        note = notestream.write(number, 0, 0, 0, 0).text
        kept = notes.split(summarizer.summarise(note))
        assert len(kept) == 2
        assert {*kept} <= {*notes.split(note)}, "a sentence was invented"
        assert not any(notestream.is_aside(sentence) for sentence in kept), kept
    assert len(notes.split(summarizer.summarise(note, sentences=4))) == 4


def test_a_model_without_a_vocabulary_is_refused():
    with pytest.raises(ModelError, match="carries its vocabulary"):
        Summarizer((MODELS / "lane/1.0.0/fp32.onnx").read_bytes())
