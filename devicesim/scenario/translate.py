"""Complaints of the schema become complaints for people.

Decides the words for each way in which a value can have the wrong shape, finds its place in the
file and the nearest valid word. Leaves out what is wrong (the models say) and how it is printed
(errors.py).

Rules: the path is the file's own (no names of our classes in it); a missing key is not reported
beside the misspelt key that was probably meant to be it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from devicesim.scenario.document import read_scalar
from devicesim.scenario.errors import Path, Problem, Refusal, choices, nearest_word, show

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from devicesim.scenario.document import Document

Schema = dict[str, Any]

_SHAPES: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}
_BOUNDS: Final = {
    "greater_than_equal": ("a number of at least", "ge"),
    "greater_than": ("a number above", "gt"),
    "less_than_equal": ("a number of at most", "le"),
    "less_than": ("a number below", "lt"),
    "too_short": ("a list of at least this many items:", "min_length"),
    "too_long": ("a list of at most this many items:", "max_length"),
    "string_too_long": ("text of at most this many characters:", "max_length"),
    "string_too_short": ("text of at least this many characters:", "min_length"),
}
_TRUTHS: Final = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false"}


def translate(error: ValidationError, document: Document, schema: Schema) -> list[Problem]:
    """Put every error of one validation into a problem.

    Args:
        error: what pydantic found.
        document: the data that was validated, for places.
        schema: the raw JSON Schema of the model, for keys, descriptions and vocabularies.
    """
    details = error.errors(include_url=False)
    walked = [(_walk(schema, item["loc"]), item) for item in details]
    misspelt = {
        (path[:-1], _nearest_key(parent, str(path[-1])))
        for (path, parent, _), item in walked
        if item["type"] == "extra_forbidden"
    }
    return [
        _problem(document, path, parent, node, item)
        for (path, parent, node), item in walked
        if not (item["type"] == "missing" and (path[:-1], str(path[-1])) in misspelt)
        and not _follows(item)
    ]


def _follows(item: ErrorDetails) -> bool:
    """Tell whether a list is only called too short because its items were refused."""
    return item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]


def place(document: Document, path: Path, refusal: Refusal) -> Problem:
    """Give a refusal its place in the file."""
    full = (*path, *refusal.at)
    line, column, origin = document.place(full, key=refusal.key, offset=refusal.offset)
    return Problem(
        path=full,
        expected=refusal.expected,
        found=refusal.found,
        nearest=refusal.nearest,
        advice=refusal.advice,
        line=line,
        column=column,
        origin=origin,
    )


def _problem(
    document: Document, path: Path, parent: Schema, node: Schema, item: ErrorDetails
) -> Problem:
    kind, context = item["type"], item.get("ctx", {})
    value = item["input"]
    if kind == "value_error" and isinstance(cause := context.get("error"), Refusal):
        return place(document, path, cause)
    if kind == "extra_forbidden":
        return place(document, path, _unknown_key(parent, str(path[-1])))
    if kind == "missing":
        return place(document, path, _missing_key(node, str(path[-1])))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _bad_verb(document, path, node, value)
    about = _description(node) if path else ""
    words = [str(word) for word in node.get("enum", ())]
    return place(document, path, _bad_value(kind, context, value, item["msg"], about, words))


def _unknown_key(parent: Schema, name: str) -> Refusal:
    keys = list(parent.get("properties", {}))
    nearest = _nearest_key(parent, name)
    advice = "" if nearest else "remove it, or check the indentation"
    return Refusal(
        f"one of the keys {choices(keys)}",
        found=repr(name),
        nearest=nearest,
        advice=advice,
        key=True,
    )


def _nearest_key(parent: Schema, name: str) -> str:
    return nearest_word(name, parent.get("properties", {}))


def _missing_key(node: Schema, name: str) -> Refusal:
    text = _description(node)
    examples = node.get("examples") or [""]
    example = examples[0] if isinstance(examples[0], str | int) else "..."
    return Refusal(
        f"the key {name}" + (f": {text}" if text else ""),
        found="no such key",
        advice=f"add `{name}: {example}`" if example != "" else f"add `{name}:`",
    )


def _description(node: Schema) -> str:
    text = str(node.get("description", "")).rstrip(".")
    return text[:1].lower() + text[1:]


def _bad_verb(document: Document, path: Path, node: Schema, value: object) -> Problem:
    verbs = list(node.get("discriminator", {}).get("mapping", {}))
    verb = value.get("do") if isinstance(value, dict) else None
    if verb is None:
        refusal = Refusal(
            f"the key do with a fault: {choices(verbs)}",
            found="no such key",
            advice="add `do: partition`, or another of these",
        )
        return place(document, path, refusal)
    nearest = nearest_word(verb, verbs) if isinstance(verb, str) else ""
    expected = f"one of the faults {choices(verbs)}"
    return place(document, path, Refusal(expected, found=show(verb), nearest=nearest, at=("do",)))


def _bad_value(
    kind: str, context: dict[str, Any], value: object, message: str, about: str, words: list[str]
) -> Refusal:
    about = f" ({about})" if about else ""
    if kind == "literal_error":
        nearest = nearest_word(value, words) if isinstance(value, str) else ""
        return Refusal(str(context["expected"]), found=show(value), nearest=nearest)
    if kind in _BOUNDS:
        phrase, key = _BOUNDS[kind]
        return Refusal(f"{phrase} {context[key]:g}{about}", found=show(value))
    if kind in _SHAPES:
        nearest = _nearest_plain(kind, value)
        return Refusal(_SHAPES[kind] + about, found=show(value), nearest=nearest)
    return Refusal(message[:1].lower() + message[1:], found=show(value))


def _nearest_plain(kind: str, value: object) -> str:
    """Guess the plain value that was meant: 10_000 for 10000, on for true, 3.0 for 3, 2% for 0.02."""
    if kind.startswith("int") and isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str):
        return f"'{value}'" if kind == "string_type" and isinstance(value, int | float) else ""
    if kind == "bool_type":
        return _TRUTHS.get(value.lower(), value.lower() if value.lower() in "truefalse" else "")
    if kind == "float_type" and value.endswith("%"):
        percent = read_scalar(value[:-1].rstrip())
        return f"{percent / 100:g}" if isinstance(percent, int | float) else ""
    if kind == "float_type" and "," in value:
        return ""
    digits = value.replace("_", "").replace(",", "").replace(" ", "")
    if kind.startswith(("int", "float")) and digits.isascii() and digits.isdigit():
        return str(int(digits))
    return ""


def _walk(schema: Schema, loc: tuple[str | int, ...]) -> tuple[Path, Schema, Schema]:
    """Follow pydantic's location through the schema.

    Returns:
        The path in the file (tags of unions left out), the schema of the last part's parent, and
        its own schema; empty where the schema says nothing.
    """
    path: list[str | int] = []
    parent, node = {}, _resolve(schema, schema)
    for part in loc:
        mapping = node.get("discriminator", {}).get("mapping", {})
        if part in mapping:
            node = _resolve(schema, {"$ref": mapping[part]})
            continue
        if part == "[key]":
            continue
        path.append(part)
        parent, node = node, _resolve(schema, _step(node, part))
    return tuple(path), parent, node


def _step(node: Schema, part: str | int) -> Schema:
    for inner in (node, *node.get("anyOf", ())):
        if isinstance(part, str) and part in inner.get("properties", {}):
            found: Schema = inner["properties"][part]
            return found
        if isinstance(part, int) and isinstance(inner.get("items"), dict):
            return dict(inner["items"])
        if isinstance(part, str):
            values = [inner.get("additionalProperties")]
            values += list(inner.get("patternProperties", {}).values())
            for value in values:
                if isinstance(value, dict):
                    return value
    return {}


def _resolve(schema: Schema, node: Schema) -> Schema:
    """Follow references; of a choice between a model and null or a word, take the model."""
    while True:
        reference = node.get("$ref")
        if reference is None and not node.get("properties"):
            models = [part for part in node.get("anyOf", ()) if "$ref" in part]
            reference = models[0]["$ref"] if models else None
        if reference is None:
            return node
        outer, node = node, schema["$defs"][reference.rpartition("/")[2]]
        if "description" in outer:
            node = {**node, "description": outer["description"]}
