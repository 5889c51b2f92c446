"""The golden vectors in tests/golden/wire: made anew they are the same, and the code obeys them."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from devicesdk.bundle.chunks import ChunkMap
from devicesdk.bundle.trust import Ed25519Verifier, signed_bytes
from devicesdk.wire import codec, messages
from devicesdk.wire.errors import BadMessage, BadSignature

GOLDEN = Path(__file__).parents[1] / "golden"


def maker():
    spec = importlib.util.spec_from_file_location("make_wire", GOLDEN / "make_wire.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(GOLDEN))  # as if it were run there: it imports what lies beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(GOLDEN))
    return module


MAKE = maker()


def vectors(name):
    return json.loads((GOLDEN / "wire" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", sorted(MAKE.FILES))
def test_the_vectors_are_what_the_code_makes(name):
    assert (GOLDEN / "wire" / f"{name}.json").read_text() == MAKE.text_of(name), (
        f"wire/{name}.json is not what the code makes: if the protocol changed on purpose, run "
        f"tests/golden/make_wire.py and read the diff as a device in the field would"
    )


def test_no_file_of_vectors_is_left_behind():
    assert {p.stem for p in (GOLDEN / "wire").iterdir()} == set(MAKE.FILES)


def test_each_type_of_message_has_a_vector():
    spoken = {k.__name__ for k in messages.WireMessage.__subclasses__()}
    assert {v["type"] for v in vectors("messages")} == spoken


@pytest.mark.parametrize("vector", vectors("refused"), ids=lambda v: v["name"])
def test_what_must_be_refused_is(vector):
    with pytest.raises(BadMessage):
        codec.decode(getattr(messages, vector["type"]), bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", vectors("frames")["refused"], ids=lambda v: v["name"])
def test_what_is_no_frame_is_refused(vector):
    with pytest.raises(BadMessage):
        codec.decode_frame(bytes.fromhex(vector["hex"]))


def test_signatures_verify_and_forgeries_do_not():
    found = vectors("signed")
    keys = {r: (bytes.fromhex(k["public_hex"]),) for r, k in found["keys"].items()}
    verifier = Ed25519Verifier(keys)
    for case in found["envelopes"]:
        payload = verifier.open(case["role"], bytes.fromhex(case["envelope_hex"]))
        assert payload.hex() == case["payload_hex"]
        assert signed_bytes(case["role"], payload).hex() == case["signed_bytes_hex"]
    for case in found["must_not_verify"]:
        with pytest.raises(BadSignature):
            verifier.open(case["role"], bytes.fromhex(case["envelope_hex"]))


@pytest.mark.parametrize("vector", vectors("chunks"), ids=lambda v: str(v["seed"]))
def test_chunk_maps_are_read_back(vector):
    marks = ChunkMap.from_bytes(bytes.fromhex(vector["map_hex"]))
    assert [n for n in range(marks.chunks) if n in marks] == vector["here"]
    assert marks.bytes_done == vector["bytes_done"]
