"""Bundles, keys and signed words for tests of an agent, and a gateway that answers `get`."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from devicesdk.agent.agent import Identity
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.shared import Shared
from devicesdk.bundle.chunks import RealDigests, build_hash_list, split
from devicesdk.bundle.delta_plan import steps
from devicesdk.bundle.manifest import BlobRef, Manifest, Variant, encode_manifest
from devicesdk.bundle.trust import (
    ROLE_DIRECTOR,
    ROLE_FLAGS,
    ROLE_TARGETS,
    Ed25519Signer,
    Ed25519Verifier,
    RememberingVerifier,
)
from devicesdk.wire import codec, limits
from devicesdk.wire.messages import (
    FlagSnapshot,
    Get,
    KillList,
    UpdatePolicy,
    Want,
)

DEVICE = "kiosk-0001"


SIGNERS = {
    role: Ed25519Signer(role, bytes([number]) * 32)
    for number, role in enumerate((ROLE_TARGETS, ROLE_DIRECTOR, ROLE_FLAGS), start=1)
}


KEYS = {role: (signer.public,) for role, signer in SIGNERS.items()}


VERIFIER = RememberingVerifier(Ed25519Verifier(KEYS))


def pattern(seed: int, size: int) -> bytes:
    """Bytes that look random and are a function of the seed."""
    blocks = [sha256(b"%d:%d" % (seed, i)).digest() for i in range(size // 32 + 1)]
    return b"".join(blocks)[:size]


class Bundle:
    """A signed bundle of one variant, and its blobs."""

    def __init__(
        self,
        number: int = 1,
        size: int = 150_000,
        chunk_bytes: int = 16_384,
        *,
        image: bytes | None = None,
        hardware: tuple[str, ...] = ("*",),
        signer: str = ROLE_TARGETS,
        manifest_padding: int = 0,
    ) -> None:
        self.image = pattern(number, size) if image is None else image
        self.hashes = build_hash_list(split(self.image, chunk_bytes))
        self.chunk_bytes = chunk_bytes
        self.variant = Variant(
            name="int8",
            image=_ref(self.image),
            hashes=_ref(self.hashes),
            chunk_bytes=chunk_bytes,
            hardware=hardware,
        )
        self.manifest = Manifest(
            id="gauge",
            version=f"1.{number}.0",
            release=number,
            variants=(self.variant,),
            baseline={"pad": [0.5] * manifest_padding},
        )
        self.envelope = SIGNERS[signer].seal(encode_manifest(self.manifest))
        self.digest = sha256(self.envelope).digest()

    @property
    def blobs(self) -> dict[bytes, tuple[bytes, int]]:
        """Each blob with its chunk size, by digest."""
        small = limits.CHUNK_BYTES_DEFAULT
        return {
            self.digest: (self.envelope, small),
            sha256(self.hashes).digest(): (self.hashes, small),
            sha256(self.image).digest(): (self.image, self.chunk_bytes),
        }


class Shortcut:
    """A delta between the images of two bundles, and its blobs; `damage` changes its bytes first."""

    def __init__(self, old: Bundle, new: Bundle, damage: Any = None) -> None:
        *_, step = steps(new.image, (old.image,), old.chunk_bytes)
        self.ref, blobs = step.ref, step.blobs
        if damage is not None:
            data = damage(blobs[0])
            hashes = build_hash_list(split(data, self.ref.chunk_bytes)) if blobs[1:] else b""
            blobs = (data, hashes) if hashes else (data,)
            digests = [sha256(blob).digest() for blob in blobs]
            self.ref = replace(
                self.ref, blob=digests[0], size_bytes=len(data), hashes=(*digests, b"")[1]
            )
        sizes = (self.ref.chunk_bytes, limits.CHUNK_BYTES_DEFAULT)
        self.data = blobs[0]
        self.blobs = {
            sha256(blob).digest(): (blob, size) for blob, size in zip(blobs, sizes, strict=False)
        }


def edited(image: bytes, start: int, size: int, seed: int = 9) -> bytes:
    """An image with other bytes in one place."""
    return image[:start] + pattern(seed, size) + image[start + size :]


def _ref(blob: bytes) -> BlobRef:
    return BlobRef(sha256(blob).hexdigest(), len(blob))


def want_of(bundle: Bundle, generation: int = 1, device: str = DEVICE, **fields: Any) -> bytes:
    """A signed want for a bundle."""
    policy = fields.pop("policy", UpdatePolicy(trial_ms=5_000))
    want = Want(
        device=device,
        generation=generation,
        deployment=fields.pop("deployment", f"r{generation}"),
        manifest=bundle.digest,
        manifest_bytes=len(bundle.envelope),
        policy=policy,
        **fields,
    )
    return SIGNERS[ROLE_DIRECTOR].seal(codec.encode(want))


def kill_of(version: int, *features: str) -> bytes:
    """A signed kill list."""
    return SIGNERS[ROLE_FLAGS].seal(codec.encode(KillList(version=version, features=features)))


def flags_of(rev: int, document: bytes, segment: str = "all", **fields: Any) -> bytes:
    """A signed flag snapshot."""
    snapshot = FlagSnapshot(rev=rev, segment=segment, document=document, **fields)
    return SIGNERS[ROLE_FLAGS].seal(codec.encode(snapshot))


def identity_of(factory: Bundle | None, device: str = DEVICE) -> Identity:
    """A device that has (or has not) a bundle from the factory."""
    if factory is None:
        return Identity(device, "rpi4", 4096)
    return Identity(device, "rpi4", 4096, factory.digest, factory.variant.name)


def shared_of(config: AgentConfig | None = None, *, online: bool = False, seed: int = 7) -> Shared:
    """The common ground of a part under test, in boot 1."""
    shared = Shared(config or AgentConfig(), identity_of(None), VERIFIER, RealDigests(), seed)
    shared.booted(1, None, 0)
    shared.online = online
    return shared


def experiment_flag(bundle: Bundle, **fields: Any) -> dict[str, Any]:
    """Definition of an object flag that makes every device run a candidate as `fields` say."""
    value = {"mode": "bandit", "arm": "candidate", "bundle": bundle.digest.hex(), **fields}
    return {"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"}


def document_of(**flags: Any) -> bytes:
    """A flagd document; ``experiment_e1`` stands for the flag ``experiment.e1``."""
    named = {name.replace("experiment_", "experiment."): flag for name, flag in flags.items()}
    return json.dumps({"flags": named}).encode()


class Gateway:
    """Answers chunk requests out of a dictionary, as asked, and remembers what it was asked."""

    def __init__(self, *bundles: Bundle) -> None:
        self.blobs: dict[bytes, tuple[bytes, int]] = {}
        for bundle in bundles:
            self.blobs.update(bundle.blobs)
        self.gets: list[Get] = []

    def answer(self, payload: bytes) -> list[bytes]:
        """The data frames of a round."""
        get = codec.decode(Get, payload)
        self.gets.append(get)
        blob, chunk_bytes = self.blobs[get.blob]
        chunks = -(-len(blob) // chunk_bytes)
        bits = int.from_bytes(get.bitmap, "little") if get.bitmap else (1 << get.count) - 1
        assert get.count * chunk_bytes <= limits.ROUND_BYTES_MAX or get.count == 1
        indices = [get.base + i for i in range(get.count) if bits >> i & 1]
        assert indices, "a request for nothing"
        assert indices[-1] < chunks, f"asked for chunk {indices[-1]} of {chunks}"
        return [
            frame_of(get, blob, chunk_bytes, index, len(indices) if index == indices[-1] else 0)
            for index in indices
        ]


def frame_of(get: Get, blob: bytes, chunk_bytes: int, index: int, count: int) -> bytes:
    """One data frame that answers a request."""
    data = blob[index * chunk_bytes : (index + 1) * chunk_bytes]
    return codec.encode_frame(codec.Frame(get.transfer, get.seq, get.blob[:8], index, count), data)
