"""What is answered: bytes that msgspec wrote, their entity tag, and their shape in the document.

Decides encoding, ``ETag`` and ``If-None-Match``, and how a shape is declared. Leaves out what is answered.

Rules: an answer is encoded once, from the values themselves: pydantic declares what is asked, and of a thousand
devices it would make a second copy; the shapes in the document are made from the very types that are encoded. An
entity tag is the hash of what was answered, or of the hashes of its parts, so what looks the same is the same.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec
from fastapi import Response

TAG_HEX: Final = 32
JSON: Final = "application/json"
SHAPES: dict[str, Any] = {}
"""By name, the types that routes answer with: the document's components."""
_ENCODER: Final = msgspec.json.Encoder()


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mutation is durable, or waits for somebody's approval."""

    said: list[str]
    """What follows from it, sentence by sentence."""
    waits: int = 0
    """Number of the request for approval, if it waits."""
    bundle: str = ""
    digest: str = ""


def etag(found: Any) -> str:
    """The entity tag of something that is answered."""
    return _tag(_ENCODER.encode(found))


def quoted(digest: str) -> str:
    """An entity tag made of a digest in hex."""
    return f'"{digest[:TAG_HEX]}"'


def _tag(body: bytes) -> str:
    return quoted(sha256(body).hexdigest())


def answered(
    found: Any, status: int = 200, none_match: str | None = None, tag: str = ""
) -> Response:
    """A response with its entity tag; 304 where the asker has it already.

    Args:
        found: what msgspec can write.
        status: of the answer.
        none_match: ``If-None-Match`` of the request.
        tag: its entity tag where that is known; empty: it is the hash of what is answered.
    """
    body = b"" if tag and none_match else _ENCODER.encode(found)
    tag = tag or _tag(body)
    if none_match is not None and tag in none_match:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body or _ENCODER.encode(found), status, {"ETag": tag}, JSON)


def plain(found: Any, status: int = 200) -> Response:
    """A response without an entity tag: of a mutation, or of what is never asked again."""
    return Response(_ENCODER.encode(found), status, media_type=JSON)


def mutated(result: dict[str, Any], status: int = 200) -> Response:
    """What a mutation answered; 202 where a second person has to approve."""
    return plain(result, 202 if "waits" in result else status)


def shape(
    kind: type[msgspec.Struct], status: int = 200, description: str = "Here it is."
) -> dict[str, Any]:
    """Arguments of a route's decorator: it answers `kind`."""
    SHAPES[kind.__name__] = kind
    told: dict[int, Any] = {status: _declared(kind, description)}
    if status != 202 and kind is Said:
        told[202] = _declared(kind, "It waits for somebody else's approval.")
    return {"response_model": None, "status_code": status, "responses": told}


def _declared(kind: type[msgspec.Struct], description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"description": description, "content": {JSON: {"schema": schema}}}
