"""What is asked over HTTP, and how what cannot be is told."""

import pytest
from pydantic import TypeAdapter, ValidationError

from devicesdk.wire.timebase import parse_duration
from gateway.api.models import DURATION, Duration

SAID = TypeAdapter(Duration)


@pytest.mark.parametrize("said", ["20m", "1h30m", "0.5s", "999999999d", "1.5h"])
def test_a_duration(said):
    assert SAID.validate_python(said) == said
    assert parse_duration(said) > 0


@pytest.mark.parametrize(
    "said",
    [
        "",
        "5x",
        "maybe",
        "1.23456s",
        "1h30.5m",
        "2h1d",
        "9999999999d",
        "\u0663m",
        "1s" * 100,
        "-5m",
        "20",
    ],
)
def test_what_is_no_duration_is_told_in_words(said):
    with pytest.raises(ValidationError) as caught:
        SAID.validate_python(said)
    (told,) = caught.value.errors()
    assert told["msg"].startswith("expected "), told["msg"]
    assert "pattern" not in told["msg"]
    assert len(told["msg"]) < 300


def test_the_document_says_how_a_duration_is_written():
    assert SAID.json_schema()["pattern"] == DURATION
