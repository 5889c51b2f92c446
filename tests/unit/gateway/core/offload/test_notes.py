from gateway.core.offload import notes


def test_every_kind_has_a_sentence_that_its_fields_fill():
    kinds = {value for name, value in vars(notes).items() if name.isupper() and name != "SENTENCES"}
    assert kinds == set(notes.SENTENCES)
    for sentence in notes.SENTENCES.values():
        assert sentence.format(subject="kiosk-1", a=1, b=2).endswith(".")
