"""The bill of materials is CycloneDX 1.6, and the same for the same bundle."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from msgspec.structs import replace

from devicesdk.bundle.sbom import Card, Described, Part, build_sbom, serial_of

TOLD = Described(
    id="magpie", version="1.2.3", summary="Tells birds apart.", licence="Apache-2.0", origin="a wheel",
    parts=(
        Part(name="variants/fp32.onnx", description="fp32", size_bytes=9, sha256="ab" * 32,
             properties={"fleetdrill:macs": "7"}),
        Part(name="kit/kit.npz", description="kit", size_bytes=3, sha256="cd" * 32),
    ),
    card=Card(
        task="classification", architecture="Conv, Gemm", inputs=("x: float32 [1, 8, 8]",), outputs=("y",),
        datasets=(("birds", "4,000 pictures"),), metrics=(("agreement_permille", "990", "int8-rr"),),
        uses=("gardens",), limits=("no bats",),
    ),
    tools=(("fleetdrill", "0.1.0"),), timestamp="2024-05-01T00:00:00Z",
)  # fmt: skip


def errors(document):
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode())
    return "" if found is None else str(found)


def test_the_document_is_valid_and_tells_the_model_card():
    document = build_sbom(TOLD)
    assert errors(document) == ""
    model = json.loads(document)["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    card = model["modelCard"]
    assert card["modelParameters"]["datasets"][0]["name"] == "birds"
    assert card["quantitativeAnalysis"]["performanceMetrics"][0]["value"] == "990"
    assert card["considerations"] == {"useCases": ["gardens"], "technicalLimitations": ["no bats"]}
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("", {"license": {"name": "unknown"}}),
        ("MIT", {"license": {"id": "MIT"}}),
        ("MIT OR Apache-2.0", {"expression": "MIT OR Apache-2.0"}),
        ("ask us, and pay", {"license": {"name": "ask us, and pay"}}),
        ("No-Such-1.0", {"license": {"name": "No-Such-1.0"}}),
    ],
)
def test_a_licence_is_an_identifier_an_expression_or_a_name(licence, told):
    document = build_sbom(replace(TOLD, licence=licence))
    assert errors(document) == ""
    assert json.loads(document)["metadata"]["component"]["licenses"] == [told]


def test_the_least_that_can_be_told_is_valid():
    least = Described(
        id="x", version="1.0.0", summary="", licence="", origin="", parts=(), card=Card(task="t"),
        tools=(), timestamp="1980-01-01T00:00:00Z",
    )  # fmt: skip
    assert errors(build_sbom(least)) == ""


def test_the_serial_number_follows_the_contents():
    first, again = build_sbom(TOLD), build_sbom(TOLD)
    assert first == again
    other = build_sbom(replace(TOLD, version="1.2.4"))
    numbers = {json.loads(document)["serialNumber"] for document in (first, other)}
    assert len(numbers) == 2
    assert serial_of(b"x")[23:24] == "8", "version 8 of RFC 9562: made of a hash"


def test_a_time_is_handed_in_and_must_be_one():
    with pytest.raises(ValueError, match="2024-05-01T00:00:00Z"):
        build_sbom(replace(TOLD, timestamp="yesterday"))
