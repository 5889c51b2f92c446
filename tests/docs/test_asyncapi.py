"""The AsyncAPI document: valid, the same as the code field by field, its examples byte by byte."""

import json
import re
from pathlib import Path

import msgpack
import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator
from msgspec import inspect

from devicesdk.bundle import manifest, trust
from devicesdk.wire import codec, errors, limits, messages, topics

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "docs/reference/asyncapi.yaml").read_text())
SCHEMA = json.loads((ROOT / "tests/golden/asyncapi-3.0.0.schema.json").read_text())
PARTS = DOCUMENT["components"]
SCHEMAS = PARTS["schemas"]
TYPES = {
    name: kind
    for name, kind in vars(messages).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and name != "WireMessage"
}
FILED = (manifest.BlobRef, manifest.Variant, manifest.Budgets, manifest.Manifest)
KINDS = {topics.KILL, topics.FLAGS, topics.TIMESTAMP, *topics.DEVICE_KINDS}
EXAMPLES = [
    (message, example["name"])
    for message, told in PARTS["messages"].items()
    for example in told["examples"]
]
INSIDE = ("UpdatePolicy", "Capabilities", "DeltaRef", "DebugGrant")
"""Spoken inside other messages only."""
UNTOLD = object()


def at(reference):
    found = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def raw(value):
    """JSON of an example as the value that it stands for: `0x...` is bytes."""
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    if isinstance(value, dict):
        return {key: raw(inner) for key, inner in value.items()}
    return [raw(inner) for inner in value] if isinstance(value, list) else value


def check(schema, value, story):
    """Hold a value against one of the document's schemas, references followed."""
    whole = {"allOf": [{"$ref": schema}], "components": PARTS}
    found = [e.message for e in Draft7Validator(whole).iter_errors(value)]
    assert found == [], f"{story}: {found}"


def test_the_document_is_an_asyncapi_3_document():
    errors_found = sorted(Draft7Validator(SCHEMA).iter_errors(DOCUMENT), key=lambda e: str(e.path))
    assert [f"{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in errors_found] == []


def test_each_reference_leads_somewhere():
    for reference in re.findall(r"'\$ref': '([^']+)'", str(DOCUMENT)):
        assert at(reference), f"{reference} leads nowhere"


def test_the_topics_of_the_code_and_no_others():
    assert set(DOCUMENT["channels"]) == KINDS
    names = topics.Topics("fd/main")
    values = {"{root}": "fd/main", "{device}": "kiosk-0001", "{segment}": "all"}
    for kind, channel in DOCUMENT["channels"].items():
        address = channel["address"]
        for parameter, value in values.items():
            assert (parameter in address) is (parameter[1:-1] in channel["parameters"])
            address = address.replace(parameter, value)
        assert names.parse(address)[0] == kind, f"{kind} is not at {address}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_operation_for_each_topic_says_who_speaks_and_what_stays(kind):
    (operation,) = [
        one
        for one in DOCUMENT["operations"].values()
        if one["channel"]["$ref"].endswith(f"/{kind}")
    ]
    assert operation["action"] == ("send" if kind in topics.UPLINK_KINDS else "receive")
    binding = operation["bindings"]["mqtt"]
    assert binding["retain"] is (kind in topics.RETAINED_KINDS)
    assert binding["qos"] == (0 if kind in (topics.DAT, topics.GET, topics.ASK) else 1)


def test_the_messages_of_the_code_and_no_others():
    assert set(TYPES) <= set(SCHEMAS), "a message of the code is not in the document"
    others = {"Frame", "UpdateState", "Nack", "Wait"} | {kind.__name__ for kind in FILED}
    assert set(SCHEMAS) == set(TYPES) | others
    carried = {msg["payload"]["$ref"] for msg in PARTS["messages"].values()}
    carried |= {m["x-signed-payload"]["$ref"] for m in PARTS["messages"].values() if "x-role" in m}
    spoken = {f"#/components/schemas/{n}" for n in TYPES if n not in INSIDE}
    assert carried == spoken | {"#/components/schemas/Frame"}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_the_fields_of_a_message(name):
    told = SCHEMAS[name]["properties"]
    fields = {f.encode_name: f for f in inspect.type_info(TYPES[name]).fields if f.name != "extra"}
    assert list(told) == list(fields), f"{name}: other fields, or another order"
    assert SCHEMAS[name].get("required", []) == [k for k, f in fields.items() if f.required]
    for key, field in fields.items():
        where = f"{name}.{key} ({field.name})"
        assert told[key]["x-name"] == field.name, where
        assert told[key]["description"], where
        facts = {k: v for k, v in told[key].items() if k not in ("description", "x-name")}
        assert facts == facts_of(field), where


def facts_of(field):
    facts = dict(schema_of(field.type))
    if not field.required:
        default = field.default
        if default is msgspec.NODEFAULT:
            default = field.default_factory()
        if default is not None and not isinstance(default, msgspec.Struct):
            facts["default"] = "0x" if default == b"" else default
            if isinstance(default, tuple):
                facts["default"] = list(default)
            if isinstance(default, messages.UpdateState):
                facts["default"] = default.value
    return facts


def schema_of(kind):
    """What the document must say of a type of the code."""
    match kind:
        case inspect.UnionType():
            (inner,) = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            return schema_of(inner)
        case inspect.IntType():
            bounds = {"minimum": kind.ge, "maximum": kind.le}
            return {"type": "integer", **{k: v for k, v in bounds.items() if v is not None}}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.StrType():
            bounds = {"maxLength": kind.max_length, "pattern": kind.pattern}
            return {"type": "string", **{k: v for k, v in bounds.items() if v is not None}}
        case inspect.BytesType():
            most = "" if kind.max_length is None else kind.max_length
            pattern = f"^0x([0-9a-f]{{2}}){{{kind.min_length or 0},{most}}}$"
            return {
                "type": "string",
                "contentEncoding": "base16",
                "x-msgpack": "bin",
                "pattern": pattern,
            }
        case inspect.VarTupleType():
            return {"type": "array", "items": schema_of(kind.item_type)}
        case inspect.DictType():
            return {"type": "object", "additionalProperties": schema_of(kind.value_type)}
        case inspect.EnumType() if kind.cls is messages.ControlVerb:
            return {"type": "string", "enum": [verb.value for verb in kind.cls]}
        case _:
            return {"allOf": [{"$ref": f"#/components/schemas/{kind.cls.__name__}"}]}


def test_the_words_of_the_enumerations():
    assert SCHEMAS["UpdateState"]["x-names"] == {s.name: s.value for s in messages.UpdateState}
    assert SCHEMAS["UpdateState"]["enum"] == list(messages.UpdateState)
    assert SCHEMAS["Nack"]["enum"] == list(errors.Nack)
    assert SCHEMAS["Nack"]["x-transient"] == [n for n in errors.Nack if not n.terminal]
    assert SCHEMAS["Wait"]["enum"] == list(errors.Wait)


@pytest.mark.parametrize("kind", FILED, ids=lambda kind: kind.__name__)
def test_the_fields_of_a_manifest(kind):
    told = SCHEMAS[kind.__name__]
    fields = msgspec.structs.fields(kind)
    assert list(told["properties"]) == [f.name for f in fields]
    assert told.get("required", []) == [f.name for f in fields if f.required]


def test_the_header_of_a_frame():
    offset = 0
    for field in SCHEMAS["Frame"]["x-header"]:
        assert field["offset"] == offset
        offset += field["bytes"]
    assert offset == limits.FRAME_HEADER_BYTES


@pytest.mark.parametrize(("message", "name"), EXAMPLES)
def test_an_example_is_what_the_code_writes_and_reads(message, name):
    told = PARTS["messages"][message]
    (example,) = [one for one in told["examples"] if one["name"] == name]
    data = bytes.fromhex(told["x-hex"][name])
    check(told["payload"]["$ref"], example["payload"], f"{message}/{name}")
    if message == topics.DAT:
        frame, chunk = codec.decode_frame(data)
        assert example["payload"] == "0x" + data.hex()
        assert codec.encode_frame(frame, chunk) == data
        said = told["x-decoded"][name]
        found = {
            **msgspec.structs.asdict(frame),
            "digest8_hex": frame.digest8.hex(),
            "data_hex": chunk.hex(),
        }
        found |= {"version": data[0], "flags": data[1]}
        del found["digest8"]
        assert found == said
        return
    assert msgpack.packb(raw(example["payload"])) == data, "the example is not its bytes"
    kind = TYPES[told["payload"]["$ref"].rpartition("/")[2]]
    assert codec.encode(codec.decode(kind, data)) == data


@pytest.mark.parametrize("message", [m for m, t in PARTS["messages"].items() if "x-role" in t])
def test_a_signed_example_opens(message):
    told = PARTS["messages"][message]
    seeds = {role: bytes([n]) * 32 for n, role in enumerate(("targets", "director", "flags"), 1)}
    keys = {r: (trust.Ed25519Signer(r, seed).public,) for r, seed in seeds.items()}
    verifier = trust.Ed25519Verifier(keys)
    kind = TYPES[told["x-signed-payload"]["$ref"].rpartition("/")[2]]
    assert set(told["x-inside"]) == set(told["x-hex"]) == {e["name"] for e in told["examples"]}
    for name, inside in told["x-inside"].items():
        payload = verifier.open(told["x-role"], bytes.fromhex(told["x-hex"][name]))
        check(told["x-signed-payload"]["$ref"], inside, f"inside {message}/{name}")
        assert msgpack.packb(raw(inside)) == payload
        assert codec.encode(codec.decode(kind, payload)) == payload


def test_the_check_itself_finds_a_wrong_example():
    with pytest.raises(AssertionError, match="required"):
        check("#/components/schemas/Link", {"b": 1, "q": 1}, "a link that says nothing")
    broken = {**DOCUMENT, "channels": {"kill": {"adress": "k"}}}
    assert list(Draft7Validator(SCHEMA).iter_errors(broken))
