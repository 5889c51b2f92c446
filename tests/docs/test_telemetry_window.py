"""The page on the telemetry window says what a window costs today."""

from pathlib import Path

import msgspec

from bench import telemetry
from devicesdk.wire.messages import Telemetry

PAGE = (Path(__file__).parents[2] / "docs/reference/telemetry-window.md").read_text()


def test_the_tables_are_those_of_the_code():
    told = PAGE.split(telemetry.BEGIN)[1].split(telemetry.END)[0]
    assert told == telemetry.generated(), (
        "run python -m bench.telemetry docs/reference/telemetry-window.md"
    )


def test_a_thousand_frames_fit_without_the_optional_sketches():
    assert len(telemetry.window(1_000)) <= 352


def test_each_field_has_its_row():
    for field in msgspec.structs.fields(Telemetry)[1:]:
        assert f"| `{field.encode_name}` | {field.name} |" in PAGE
