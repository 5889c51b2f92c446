"""Each note of the alarms machine has a sentence with its fields."""

from gateway.core.alarms import notes


def test_each_kind_has_a_sentence():
    kinds = {
        value for name, value in vars(notes).items() if name.isupper() and isinstance(value, str)
    }
    assert set(notes.SENTENCES) == kinds
    for kind, sentence in notes.SENTENCES.items():
        assert "S" in sentence.format(subject="S", a=1, b=2), kind
