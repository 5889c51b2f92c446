"""The bill of materials of a bundle: CycloneDX 1.6 JSON, with a model card.

Decides how a bundle is told in the words of CycloneDX (cyclonedx.org/docs/1.6/json): the model as a
``machine-learning-model`` component with its variants below it, its licence, data sets, metrics,
considerations, and the tools that made it. Leaves out who writes it where (devicesdk/packing).

Rules: the same bundle gives the same bytes: the serial number is derived from the contents, the time is
handed in; a licence that is an SPDX expression is one, any other text is a name.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

import msgspec

SPEC_VERSION: Final = "1.6"
_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_APPROACHES: Final = (
    "supervised",
    "unsupervised",
    "reinforcement-learning",
    "semi-supervised",
    "self-supervised",
)
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SPDX: Final = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_KNOWN_SPDX: Final = (
    "0BSD", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-SA-4.0", "CC0-1.0", "EUPL-1.2", "GPL-2.0-only",
    "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-2.1-only", "LGPL-3.0-only", "MIT",
    "MIT-0", "MPL-2.0", "OpenRAIL", "PDDL-1.0", "Unlicense", "Zlib",
)  # fmt: skip
"""Identifiers of the SPDX list that models are published under; others are written as names."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the bundle."""

    name: str
    description: str
    size_bytes: int
    sha256: str
    properties: dict[str, str] = {}


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a model card says beyond the files."""

    task: str
    """Such as ``classification``."""
    architecture: str = ""
    """Operators in words, such as ``Conv, Gemm``."""
    approach: str = "supervised"
    inputs: tuple[str, ...] = ()
    """Formats, such as ``float32 [1, 32, 32]``."""
    outputs: tuple[str, ...] = ()
    datasets: tuple[tuple[str, str], ...] = ()
    """Name and description."""
    metrics: tuple[tuple[str, str, str], ...] = ()
    """Kind, value and the slice of data that it was measured on."""
    uses: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the document tells."""

    id: str
    version: str
    summary: str
    licence: str
    origin: str
    parts: tuple[Part, ...]
    card: Card
    tools: tuple[tuple[str, str], ...]
    """Name and version of what made it."""
    timestamp: str
    """UTC, such as ``2024-05-01T00:00:00Z``: handed in, so that the same bundle has the same document."""


def build_sbom(told: Described) -> bytes:
    """Write the document: JSON, indented, keys in a fixed order.

    Raises:
        ValueError: the timestamp is not one.
    """
    if _TIMESTAMP.fullmatch(told.timestamp) is None:
        raise ValueError(f"expected a time such as 2024-05-01T00:00:00Z, found {told.timestamp!r}")
    body = {
        "metadata": {
            "timestamp": told.timestamp,
            "tools": {
                "components": [
                    {"type": "application", "name": name, "version": version}
                    for name, version in told.tools
                ]
            },
            "component": _model(told),
        },
        "components": [_part(told, part) for part in told.parts],
        "dependencies": [
            {"ref": _ref(told), "dependsOn": [_ref(told, part.name) for part in told.parts]}
        ],
    }
    serial = serial_of(msgspec.json.encode(body))
    head = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": serial,
        "version": 1,
    }
    return msgspec.json.format(msgspec.json.encode({**head, **body}), indent=1) + b"\n"


def serial_of(content: bytes) -> str:
    """A UUID derived from contents: version 8 of RFC 9562, from their SHA-256."""
    raw = bytearray(sha256(content).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _ref(told: Described, part: str = "") -> str:
    return f"{told.id}@{told.version}" + (f"#{part}" if part else "")


def _model(told: Described) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _ref(told),
        "name": told.id,
        "version": told.version,
        "description": told.summary or told.id,
        "licenses": _licence(told.licence),
        "modelCard": _card(told.card),
    }
    if told.origin:
        made["properties"] = [{"name": "fleetdrill:origin", "value": told.origin}]
    return made


def _licence(text: str) -> list[dict[str, Any]]:
    if not text:
        return [{"license": {"name": "unknown"}}]
    if text in _KNOWN_SPDX:
        return [{"license": {"id": text}}]
    words = [word for word in text.split() if word not in ("AND", "OR", "WITH")]
    if len(words) > 1 and _SPDX.fullmatch(text) and all(word in _KNOWN_SPDX for word in words):
        return [{"expression": text}]
    return [{"license": {"name": text}}]


def _card(card: Card) -> dict[str, Any]:
    parameters: dict[str, Any] = {"task": card.task}
    if card.approach in _APPROACHES:
        parameters = {"approach": {"type": card.approach}, **parameters}
    if card.architecture:
        parameters["modelArchitecture"] = card.architecture
    if card.datasets:
        parameters["datasets"] = [
            {"type": "dataset", "name": name, "description": text} for name, text in card.datasets
        ]
    parameters["inputs"] = [{"format": text} for text in card.inputs]
    parameters["outputs"] = [{"format": text} for text in card.outputs]
    made: dict[str, Any] = {"modelParameters": parameters}
    if card.metrics:
        made["quantitativeAnalysis"] = {
            "performanceMetrics": [
                {"type": kind, "value": value, "slice": where}
                for kind, value, where in card.metrics
            ]
        }
    made["considerations"] = {
        "useCases": list(card.uses),
        "technicalLimitations": list(card.limits),
    }
    return made


def _part(told: Described, part: Part) -> dict[str, Any]:
    properties = {"fleetdrill:bytes": str(part.size_bytes), **part.properties}
    return {
        "type": "file",
        "bom-ref": _ref(told, part.name),
        "name": part.name,
        "description": part.description,
        "hashes": [{"alg": "SHA-256", "content": part.sha256}],
        "properties": [{"name": name, "value": properties[name]} for name in sorted(properties)],
    }
