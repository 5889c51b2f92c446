from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from devicesim.scenario.document import read_document
from devicesim.scenario.publish import json_schema, schema_text

ROOT = Path(__file__).parents[4]
SCHEMA = json_schema()
GOLDEN = ROOT / "tests" / "golden" / "scenarios"
SHAPES = ("unknown-key", "wrong-unit", "negative-count", "wrong-type", "unknown-fault")


def test_the_published_schema_is_in_step():
    published = (ROOT / "scenarios" / "schema.json").read_text()
    assert published == schema_text(), (
        "scenarios/schema.json is old: fleetdrill scenario schema > scenarios/schema.json"
    )


def test_it_is_a_schema_that_stands_alone():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert '"x-' not in text
    assert "discriminator" not in text


@pytest.mark.parametrize(
    "path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem
)
def test_what_is_shipped_is_valid_by_it(path):
    data = read_document(path.read_text())[0].data
    jsonschema.validate(data, SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", SHAPES)
def test_wrong_shapes_are_underlined_in_an_editor_too(name):
    data = read_document((GOLDEN / f"{name}.yaml").read_text())[0].data
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, SCHEMA, cls=jsonschema.Draft202012Validator)


def objects(node, path=""):
    if isinstance(node, dict):
        if "properties" in node:
            yield path, node
        for key, value in node.items():
            yield from objects(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from objects(value, f"{path}/{index}")


def test_every_key_has_a_description():
    for path, node in objects(SCHEMA):
        for name, part in node["properties"].items():
            described = "description" in part or "const" in part or name == "mix"
            assert described, f"{path}.{name} has no description"


def test_defaults_are_spelled_as_a_file_spells_them():
    clock = SCHEMA["$defs"]["Clock"]["properties"]
    assert clock["duration"]["default"] == "1d"
    assert clock["start"]["default"] == "2024-01-01T00:00:00Z"
    assert SCHEMA["$defs"]["Rollout"]["properties"]["target"]["default"] == "all"
    assert SCHEMA["$defs"]["Rollout"]["properties"]["jitter"]["default"] == "0s"
