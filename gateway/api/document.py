"""The OpenAPI document: what FastAPI finds, and what it cannot know.

Decides how errors, shapes of answers and permissions are declared. Leaves out the routes.

Rules: every error that an operation can answer with is declared, as `application/problem+json`; the shapes of answers
are made from the types that are encoded (answers.py).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.api import problems
from gateway.api.answers import SHAPES
from gateway.api.desk import SCHEME
from gateway.api.needs import ANYBODY, OPEN, OPERATIONS

METHODS: Final = frozenset({"get", "head", "put", "post", "delete"})
TAGS: Final = {
    "fleet": "The fleet at a glance, and events.",
    "devices": "The registry and the twins.",
    "blobs": "Bytes by their SHA-256, sent in parts.",
    "bundles": "Signed models and their releases.",
    "rollouts": "Staged rollouts: waves, gates, big buttons.",
    "rehearsals": "A rollout in the simulator, before it touches a device.",
    "experiments": "A candidate beside production.",
    "flags": "Feature flags and run-time policies, by segment.",
    "kills": "Features that are off everywhere.",
    "alarms": "What somebody should look at.",
    "debug": "Debug mode of single devices.",
    "drift": "Verdicts by cohort and feature.",
    "transfers": "Chunks on their way.",
    "audit": "Who asked for what.",
    "access": "Tokens, approvals, and who one is.",
    "health": "For orchestrators and Prometheus.",
}
_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
TOKEN: Final = "token"  # noqa: S105 - the name of a scheme
_REF: Final = "#/components/schemas/"
_NAMES: Final = {
    "gateway.ports.Counters": "RuntimeCounters",
    "gateway.core.collect.overview.Counters": "TelemetryCounters",
}
"""Of types that have the same name as another."""
_ALWAYS: Final = (400, 401, 421, 422, 429, 431, 500, 503)
_LOOKING: Final = (403,)
_NAMED: Final = (404,)
BY_QUERY: Final = frozenset({"show_histogram"})
"""Operations that name in their query what may not be there."""
_CHANGING: Final = (403, 408, 409, 412, 413, 415)
_WAITING: Final = (429, 503)
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
}
_ETAG: Final = {"ETag": {"description": "What it is now.", "schema": {"type": "string"}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of an app; made once."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            tags=[{"name": name, "description": words} for name, words in TAGS.items()],
        )
        _complete(found)
        app.openapi_schema = found
    return app.openapi_schema


def _complete(found: dict[str, Any]) -> None:
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    kinds = list(SHAPES.values())
    _, shapes = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas.update(shapes)
    for long, short in _NAMES.items():
        schemas[short] = schemas.pop(long) | {"title": short}
    _point_at(schemas, {_REF + long: _REF + short for long, short in _NAMES.items()})
    told = "A token: `fleetdrill token make`."
    found["components"]["securitySchemes"] = {
        TOKEN: {"type": "http", "description": told, "scheme": SCHEME}
    }
    schemas["Problem"] = problems.Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            if method in METHODS:
                _declare(path, method, operation)


def _point_at(part: Any, names: dict[str, str]) -> None:
    """Let references lead to the new names."""
    for value in part.values() if isinstance(part, dict) else part:
        if isinstance(value, dict | list):
            _point_at(value, names)
    if isinstance(part, dict) and part.get("$ref") in names:
        part["$ref"] = names[part["$ref"]]


def _declare(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add the errors, the permission, and the headers of an operation."""
    name, responses = operation["operationId"], operation["responses"]
    responses.pop("422", None)
    if name in OPEN:
        return
    operation["security"] = [{TOKEN: []}]
    codes = [*_ALWAYS, *(() if name in ANYBODY else _LOOKING)]
    codes += _NAMED if "{" in path or "requestBody" in operation or name in BY_QUERY else ()
    codes += _CHANGING if method not in {"get", "head"} else ()
    codes += (416,) if name == "download_blob" else ()
    for code in sorted(set(codes)):
        responses[str(code)] = _error(code, method)
    if method == "get" and "200" in responses:
        responses["304"] = {"description": "As you have it.", "headers": _ETAG}
        responses["200"].setdefault("headers", {}).update(_ETAG)
    if name in OPERATIONS:
        operation["x-permission"] = OPERATIONS[name].value


def _error(code: int, method: str) -> dict[str, Any]:
    told: dict[str, Any] = {"description": problems.TITLES[code]}
    if method != "head":
        told["content"] = {problems.MEDIA: {"schema": _PROBLEM}}
    if code in _WAITING:
        told["headers"] = _RETRY_AFTER
    return told
