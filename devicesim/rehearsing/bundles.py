"""Published bundles, as they lie in a gateway's blob store, become bundle directories that a scenario names.

Decides which bytes are believed (those that hash to their name, from the envelope down to the model inside an image), and
what of a description is left: variants that were not published, twins for simulators and bills of materials are not in
an image. Leaves out signatures (the gateway took the bundle in) and the scenario (compose.py).

Rules: what runs on virtual devices are the very bytes that devices would fetch: an image is the model file, its
description and its kit, and none of them is replaced by anything.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from devicesdk.bundle.manifest import Manifest, Variant, decode_manifest
from devicesdk.bundle.sealed import ALSO_PREFIX
from devicesdk.bundle.source import BUNDLE_FILE, FILE_BYTES_MAX, SourceError
from devicesdk.inference.beside import Beside, SealError, unseal
from devicesdk.inference.onnx import metadata_of, open_session
from devicesdk.inference.source import BundleSpec, TensorSource, directory_reader, load_any
from devicesdk.wire import codec, limits
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import Signed
from devicesim.world.senses import GAUGE, kind_of
from gateway.core.rehearsals.job import Named

ENVELOPE_BYTES_MAX: Final = limits.MANIFEST_BYTES_MAX + 1024
ReadBlob = Callable[[str, int], bytes]
"""Gives the blob of a digest in hex, at most so many bytes."""


class NotRehearsable(ValueError):
    """This rollout cannot be rehearsed; says why."""


def blobs_in(folder: Path) -> ReadBlob:
    """Reads blobs of a folder, and believes none that does not hash to its name."""

    def read(digest: str, bytes_max: int) -> bytes:
        try:
            with (folder / digest[:2] / digest).open("rb") as file:
                content = file.read(bytes_max + 1)
        except FileNotFoundError as error:
            raise NotRehearsable(f"expected blob {digest}, found no such file") from error
        found = sha256(content).hexdigest()
        if len(content) > bytes_max or found != digest:
            raise NotRehearsable(
                f"expected blob {digest} with at most {bytes_max} bytes, found {found}: it was altered"
            )
        return content

    return read


def manifest_in(read: ReadBlob, bundle: Named) -> Manifest:
    """The manifest of a published bundle.

    Raises:
        NotRehearsable: it is not there, or not that bundle's.
    """
    envelope = read(bundle.digest, ENVELOPE_BYTES_MAX)
    try:
        manifest = decode_manifest(codec.decode(Signed, envelope, ENVELOPE_BYTES_MAX).payload)
    except ProtocolError as error:
        raise NotRehearsable(f"{bundle.name}: {error}") from error
    if manifest.name != bundle.name:
        raise NotRehearsable(f"expected bundle {bundle.name}, found {manifest.name}")
    return manifest


def unpack(read: ReadBlob, bundle: Named, folder: Path, version: str = "") -> str:
    """Write a published bundle as a directory; returns its ``id@semver``.

    Args:
        read: gives blobs.
        bundle: which.
        folder: made here.
        version: a name for it other than its own; its bytes stay the same.

    Raises:
        NotRehearsable: bytes are missing or altered, or virtual devices cannot run what is in them.
    """
    manifest = manifest_in(read, bundle)
    folder.mkdir(parents=True)
    spec, kit = _write_models(read, manifest, folder)
    shipped = {name: r for name, r in spec.variants.items() if (folder / r.file).is_file()}
    prefer = {c: tuple(n for n in names if n in shipped) for c, names in spec.prefer.items()}
    spec = msgspec.structs.replace(
        spec,
        version=version or spec.version,
        variants=shipped,
        prefer={c: names for c, names in prefer.items() if names},
        carry={name: also for name, also in spec.carry.items() if name in shipped},
        twins={},
        sbom=None,
    )
    (folder / spec.kit.file).write_bytes(kit)
    (folder / BUNDLE_FILE).write_bytes(msgspec.json.encode(spec))
    _check(folder)
    return f"{spec.id}@{spec.version}"


def _write_models(read: ReadBlob, manifest: Manifest, folder: Path) -> tuple[BundleSpec, bytes]:
    """Take each image apart; returns the description and the kit, which all images have in common."""
    found: Beside | None = None
    for variant in {v.image.digest: v for v in manifest.variants}.values():
        image = read(variant.image.digest, variant.image.size_bytes)
        metadata = metadata_of(open_session(image))
        found = _beside(manifest, variant, metadata)
        _write_model(folder, found.spec, variant.name, image)
        for key, text in metadata.items():
            if key.startswith(ALSO_PREFIX) and text:
                lighter = key.removeprefix(ALSO_PREFIX)
                _write_model(folder, found.spec, lighter, base64.b64decode(text))
    if found is None:
        raise NotRehearsable(f"expected {manifest.name} to have an image, found none")
    return found.spec, found.kit


def _beside(manifest: Manifest, variant: Variant, metadata: dict[str, str]) -> Beside:
    try:
        found = unseal(metadata)
    except SealError as error:
        raise NotRehearsable(f"{manifest.name} {variant.name}: {error}") from error
    if found is None:
        raise NotRehearsable(
            f"expected the image {variant.name} of {manifest.name} to carry its description and kit, found "
            "none: build the bundle with `fleetdrill bundle build` and publish it"
        )
    if sha256(found.kit).hexdigest() != manifest.kit:
        raise NotRehearsable(
            f"expected {manifest.name} to carry the kit of its manifest, found another"
        )
    return found


def _write_model(folder: Path, spec: BundleSpec, name: str, image: bytes) -> None:
    """The model's own file: the beginning of an image, as its description says."""
    record = spec.variants.get(name)
    if record is None or record.bytes > min(len(image), FILE_BYTES_MAX):
        raise NotRehearsable(
            f"expected variant {name} to be described as long as it is, found it not so"
        )
    model = image[: record.bytes]
    if sha256(model).hexdigest() != record.sha256:
        raise NotRehearsable(
            f"expected variant {name} to be the file that was described, found another"
        )
    (folder / record.file).write_bytes(model)


def _check(folder: Path) -> None:
    """That it can be read, and that virtual devices have something to show it."""
    try:
        source = load_any(directory_reader(folder))
    except SourceError as error:
        raise NotRehearsable(str(error)) from error
    kind = kind_of(source.spec.id)
    tensors = isinstance(source, TensorSource)
    if tensors is (kind in (GAUGE, "lane")):
        raise NotRehearsable(
            f"expected a bundle that virtual devices have data for (readers of dials, or of the ids lane, keyword "
            f"and notes), found {source.spec.id}: what its devices sense cannot be drawn"
        )
