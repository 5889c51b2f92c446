"""Make `wire/*.json`: inputs of the wire protocol and the bytes that come of them, for any language.

Run ``python tests/golden/make_wire.py`` after a deliberate change of the protocol, and read the diff:
each changed line is a device in the field that would not understand. `tests/docs/test_wire_vectors.py`
makes them anew and compares. Bytes are lower-case hex under names that end in ``hex``, or strings of
``0x`` and hex where a value of a map is bytes.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from wire_messages import BLOB, DEVICE, DIGEST, HAVE, MESSAGES

from devicesdk.bundle.chunks import ChunkMap, build_hash_list, chunk_count, split
from devicesdk.bundle.manifest import BlobRef, Budgets, Manifest, Variant, encode_manifest
from devicesdk.bundle.trust import (
    ROLE_DIRECTOR,
    ROLE_FLAGS,
    ROLE_TARGETS,
    Ed25519Signer,
    key_id,
    signed_bytes,
)
from devicesdk.wire import codec, messages
from devicesdk.wire.codec import Frame
from devicesdk.wire.errors import Nack
from gateway.core.transfers.request import Blob, wanted

FOLDER = Path(__file__).parent / "wire"
SEEDS = {
    role: bytes([number]) * 32
    for number, role in enumerate((ROLE_TARGETS, ROLE_DIRECTOR, ROLE_FLAGS), start=1)
}
SIGNERS = {role: Ed25519Signer(role, seed) for role, seed in SEEDS.items()}


def pattern(seed: int, size: int) -> bytes:
    """SHA-256 of ``b"<seed>:<i>"`` for i = 0, 1, ..., joined and cut to `size` bytes."""
    blocks = [sha256(b"%d:%d" % (seed, i)).digest() for i in range(size // 32 + 1)]
    return b"".join(blocks)[:size]


def plain(value: Any) -> Any:
    """A wire value as JSON: bytes become ``0x...``, enums their value."""
    if isinstance(value, bytes | memoryview):
        return "0x" + bytes(value).hex()
    if isinstance(value, msgspec.Struct):
        return plain({f.encode_name: getattr(value, f.name) for f in msgspec.structs.fields(value)})
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    return value.value if hasattr(value, "value") else value


def message_vectors() -> list[dict[str, Any]]:
    """Each message: its type, its map with short keys, its bytes."""
    out = []
    for name, (about, message) in MESSAGES.items():
        data = codec.encode(message)
        assert codec.decode(type(message), data) == message, name
        out.append(
            {
                "name": name,
                "about": about,
                "type": type(message).__name__,
                "map": plain(codec.msgpack.unpackb(data)),
                "hex": data.hex(),
            }
        )
    return out


def refused_vectors() -> list[dict[str, Any]]:
    """Bytes that must be refused as the type named, without harm."""
    pack = codec.msgpack.packb
    cases = {
        "empty": ("Want", b""),
        "not a map": ("Want", pack([1, 2, 3])),
        "cut short": ("Have", codec.encode(HAVE)[:-1]),
        "trailing bytes": ("Have", codec.encode(HAVE) + b"\xc0"),
        "a missing field": ("Want", pack({"d": DEVICE, "g": 1})),
        "a digest of 31 bytes": (
            "Want",
            pack({"d": DEVICE, "g": 1, "r": "x", "m": DIGEST[:31], "mb": 1}),
        ),
        "a text where bytes belong": (
            "Want",
            pack({"d": DEVICE, "g": 1, "r": "x", "m": "0" * 32, "mb": 1}),
        ),
        "a negative generation": (
            "Want",
            pack({"d": DEVICE, "g": -1, "r": "x", "m": DIGEST, "mb": 1}),
        ),
        "no chunks asked for": ("Get", pack({"x": 1, "q": 1, "b": BLOB, "o": 0, "n": 0})),
        "a bitmap of 65 bytes": (
            "Get",
            pack({"x": 1, "q": 1, "b": BLOB, "o": 0, "n": 1, "m": b"\xff" * 65}),
        ),
        "a third slot": ("Have", pack({"b": 1, "q": 1, "sl": "c"})),
        "an unknown verb": ("Control", pack({"c": "reboot"})),
        "a state of another century": ("Have", pack({"b": 1, "q": 1, "st": 99})),
    }
    return [{"name": name, "type": kind, "hex": data.hex()} for name, (kind, data) in cases.items()]


def signed_vectors() -> dict[str, Any]:
    """Keys, what is signed, and envelopes; the seeds are for tests alone."""
    cases = []
    for role, name in (
        (ROLE_DIRECTOR, "want"),
        (ROLE_FLAGS, "kill"),
        (ROLE_FLAGS, "flags"),
        (ROLE_TARGETS, "manifest"),
    ):
        payload = MANIFEST if name == "manifest" else codec.encode(MESSAGES[name][1])
        envelope = SIGNERS[role].seal(payload)
        opened = codec.decode(messages.Signed, envelope)
        cases.append(
            {
                "name": name,
                "role": role,
                "payload_hex": payload.hex(),
                "signed_bytes_hex": signed_bytes(role, payload).hex(),
                "key_id_hex": opened.key_id.hex(),
                "signature_hex": opened.signature.hex(),
                "envelope_hex": envelope.hex(),
                "envelope_sha256_hex": sha256(envelope).hexdigest(),
            }
        )
    keys = {
        role: {
            "seed_hex": SEEDS[role].hex(),
            "public_hex": signer.public.hex(),
            "key_id_hex": key_id(signer.public).hex(),
        }
        for role, signer in SIGNERS.items()
    }
    return {"keys": keys, "envelopes": cases, "must_not_verify": _forgeries()}


def _forgeries() -> list[dict[str, str]]:
    payload = codec.encode(MESSAGES["want"][1])
    good = SIGNERS[ROLE_DIRECTOR].seal(payload)
    opened = codec.decode(messages.Signed, good)
    bent = bytes([payload[0]]) + bytes([payload[1] ^ 1]) + payload[2:]
    other = messages.Signed(payload=bent, key_id=opened.key_id, signature=opened.signature)
    return [
        {
            "name": "signed by the flags key",
            "role": ROLE_DIRECTOR,
            "envelope_hex": SIGNERS[ROLE_FLAGS].seal(payload).hex(),
        },
        {
            "name": "signed by the director for another role",
            "role": ROLE_DIRECTOR,
            "envelope_hex": Ed25519Signer(ROLE_FLAGS, SEEDS[ROLE_DIRECTOR]).seal(payload).hex(),
        },
        {"name": "one bit bent", "role": ROLE_DIRECTOR, "envelope_hex": codec.encode(other).hex()},
    ]


def frame_vectors() -> dict[str, Any]:
    """Data frames, and payloads that are none."""
    good = {
        "in the middle of a round": (Frame(786_433, 3, BLOB[:8], 18, 0), b"chunk"),
        "the last of a round of four": (Frame(786_433, 3, BLOB[:8], 22, 4), b"chunk"),
        "the largest numbers": (Frame(2**32 - 1, 2**32 - 1, b"\xff" * 8, 2**32 - 1, 512), b"\0"),
    }
    frames = [
        {
            "name": name,
            "version": codec.FRAME_VERSION,
            "flags": codec.FLAG_LAST if frame.last else 0,
            "round_count": frame.round_count,
            "transfer": frame.transfer,
            "digest8_hex": frame.digest8.hex(),
            "chunk": frame.chunk,
            "seq": frame.seq,
            "data_hex": data.hex(),
            "hex": codec.encode_frame(frame, data).hex(),
        }
        for name, (frame, data) in good.items()
    ]
    head = codec.encode_frame(Frame(1, 1, BLOB[:8], 0, 0), b"chunk")
    refused = {
        "empty": b"",
        "a header and no chunk": head[:24],
        "version 2": b"\x02" + head[1:],
        "last without a count": head[:1] + b"\x01" + head[2:],
        "a count without last": head[:2] + b"\x00\x04" + head[4:],
    }
    return {
        "frames": frames,
        "refused": [{"name": name, "hex": data.hex()} for name, data in refused.items()],
    }


def request_vectors() -> list[dict[str, Any]]:
    """Chunk requests of a blob, and the chunks that they mean or the NACK that they earn."""
    blob = Blob(size_bytes=100_000, chunk_bytes=4_096, chunks=25)
    cases: dict[str, dict[str, Any]] = {
        "two from the start": {"base": 0, "count": 2},
        "past the end: cut": {"base": 24, "count": 2},
        "bits are least significant first": {"base": 8, "count": 12, "bitmap": b"\x05\x08"},
        "at most count set bits": {"base": 0, "count": 2, "bitmap": b"\xff"},
        "bits past the end are ignored": {"base": 23, "count": 8, "bitmap": b"\xff"},
        "only bits past the end": {"base": 23, "count": 8, "bitmap": b"\xfc"},
        "no bit": {"base": 0, "count": 1, "bitmap": b"\x00"},
        "base past the end": {"base": 25, "count": 1},
        "more than 128 KiB": {"base": 0, "count": 33},
    }
    out = []
    for name, fields in cases.items():
        get = messages.Get(transfer=1, seq=1, blob=BLOB, **fields)
        found = wanted(get, blob)
        answer = {"nack": str(found)} if isinstance(found, Nack) else {"chunks": list(found)}
        out.append(
            {
                "name": name,
                "blob_bytes": blob.size_bytes,
                "chunk_bytes": blob.chunk_bytes,
                **plain(fields),
                "hex": codec.encode(get).hex(),
                **answer,
            }
        )
    return out


def chunk_vectors() -> list[dict[str, Any]]:
    """Hash lists and chunk maps of blobs made by `pattern`."""
    out = []
    for seed, size, chunk_bytes, here in (
        (1, 1_000, 256, [0, 3]),
        (2, 4_096, 1_024, []),
        (3, 300, 16_384, [0]),
        (4, 20_000, 1_024, [0, 1, 2, 9, 19]),
    ):
        blob = pattern(seed, size)
        hashes = build_hash_list(split(blob, chunk_bytes))
        digest = sha256(blob).digest()
        marks = ChunkMap(digest, size, chunk_bytes)
        for chunk in here:
            marks.add(chunk)
        out.append(
            {
                "about": "blob = the first size_bytes of SHA-256('seed:0'), SHA-256('seed:1'), ...",
                "seed": seed,
                "size_bytes": size,
                "chunk_bytes": chunk_bytes,
                "chunks": chunk_count(size, chunk_bytes),
                "blob_sha256_hex": digest.hex(),
                "hash_list_hex": hashes.hex(),
                "hash_list_sha256_hex": sha256(hashes).hexdigest(),
                "here": here,
                "bytes_done": marks.bytes_done,
                "first_missing": marks.first_missing,
                "map_hex": marks.to_bytes().hex(),
            }
        )
    return out


def _manifest() -> bytes:
    image = pattern(1, 1_000)
    hashes = build_hash_list(split(image, 256))
    variant = Variant(
        name="int8",
        image=BlobRef(sha256(image).hexdigest(), len(image)),
        hashes=BlobRef(sha256(hashes).hexdigest(), len(hashes)),
        chunk_bytes=256,
        hardware=("*",),
        macs=1_000,
        memory_mib=16,
    )
    budgets = Budgets(latency_ms_max=250.0, memory_mib_max=64.0)
    return encode_manifest(
        Manifest(id="gauge", version="1.2.0", release=3, variants=(variant,), budgets=budgets)
    )


MANIFEST = _manifest()
FILES = {
    "messages": message_vectors,
    "refused": refused_vectors,
    "signed": signed_vectors,
    "frames": frame_vectors,
    "requests": request_vectors,
    "chunks": chunk_vectors,
}


def text_of(name: str) -> str:
    """The contents of ``wire/<name>.json``."""
    return json.dumps(FILES[name](), indent=1) + "\n"


if __name__ == "__main__":
    for name in FILES:
        (FOLDER / f"{name}.json").write_text(text_of(name))
