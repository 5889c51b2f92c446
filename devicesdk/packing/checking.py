"""Is this bundle what it says, is it signed, and does it work here?

Decides the checks of ``bundle verify`` and their order: archive, digests, description, manifest, signature,
kit. Leaves out reading (files.py) and what a kit's judgement means (devicesdk/inference).

Rules: every check that can be done is done, so that one look tells everything; a check that was not asked
for (a signature without a key to hold it against) is said to be missing and never said to have passed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from devicesdk.bundle.archive import MANIFEST_FILE, SIGNATURE_FILE, file_reader
from devicesdk.bundle.build import build_bundle
from devicesdk.bundle.manifest import Manifest, decode_manifest, encode_manifest
from devicesdk.bundle.source import SourceError, read_release
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Verifier
from devicesdk.inference.kit import KitError, KitOutcome, run_kit
from devicesdk.inference.onnx import ModelError, OnnxEngine
from devicesdk.inference.source import BundleSource, TensorSource, load_any
from devicesdk.packing import kits
from devicesdk.packing.errors import CannotPack, NotGood
from devicesdk.packing.files import Opened
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.limits import CHUNK_BYTES_DEFAULT

PASSED, FAILED, MISSING = "passed", "failed", "missing"
KITS_CHECK: Final = "kit"


class Check(NamedTuple):
    """What came of one check."""

    name: str
    state: str
    said: str


def verify(opened: Opened, public: tuple[bytes, ...], *, run_kits: bool = True) -> list[Check]:
    """Check a bundle.

    Args:
        opened: from `files.open_bundle`: an archive that is damaged does not come here.
        public: keys that may have signed it, 32 bytes each; none: nobody is trusted.
        run_kits: whether the kit is run on this machine.
    """
    checks = [Check("archive", PASSED, f"{opened.size_bytes} bytes, {len(opened.members)} files")]
    if not opened.archived:
        checks = [Check("archive", MISSING, f"{opened.path} is a directory")]
    try:
        source = load_any(file_reader(opened.members))
    except (SourceError, KitError) as error:
        return [*checks, Check("digests", FAILED, str(error))]
    checks.append(Check("digests", PASSED, f"{len(source.models)} variants, kit"))
    checks.append(_tried("manifest", lambda: _manifest(opened.members)))
    checks.append(_signature(opened.members, public))
    if run_kits:
        checks += [
            _tried(f"{KITS_CHECK} {name}", partial(_kit, source, name))
            for name in source.spec.variants
        ]
    return checks


def rebuilt(members: dict[str, bytes], chunk_bytes: int = CHUNK_BYTES_DEFAULT) -> Manifest:
    """The manifest that these files make.

    Raises:
        SourceError: they are not what the description says.
    """
    return build_bundle(*read_release(file_reader(members)), chunk_bytes).manifest


def _tried(name: str, perform: Callable[[], str]) -> Check:
    try:
        return Check(name, PASSED, perform())
    except LookupError as error:
        return Check(name, MISSING, str(error.args[0]))
    except (NotGood, CannotPack, SourceError, KitError, ModelError, ProtocolError) as error:
        return Check(name, FAILED, str(error))


def _manifest(members: dict[str, bytes]) -> str:
    found = members.get(MANIFEST_FILE)
    if found is None:
        raise LookupError("the bundle has no manifest yet: publishing it makes one")
    manifest = decode_manifest(found)
    wanted = encode_manifest(rebuilt(members, manifest.variants[0].chunk_bytes))
    if wanted != found:
        raise NotGood(
            "expected the manifest that these files make, found another: files or manifest were altered; "
            "build the bundle again"
        )
    return f"{manifest.name}, release {manifest.release}"


def _signature(members: dict[str, bytes], public: tuple[bytes, ...]) -> Check:
    envelope, manifest = members.get(SIGNATURE_FILE), members.get(MANIFEST_FILE)
    if envelope is None or manifest is None:
        said = "unsigned: give --key to bundle build, or sign when it is published"
        return Check("signature", FAILED if public else MISSING, said)
    if not public:
        return Check("signature", MISSING, "signed; give --key trust.json to check by whom")

    def check() -> str:
        verifier = Ed25519Verifier({ROLE_TARGETS: public})
        if verifier.open(ROLE_TARGETS, envelope) != manifest:
            raise NotGood("expected the signature of this manifest, found that of another one")
        return "by a trusted key"

    return _tried("signature", check)


def _kit(source: BundleSource | TensorSource, name: str) -> str:
    spec = source.spec
    if isinstance(source, TensorSource):
        outcome = kits.run_here(source.task, spec.kit.rule, name, source.models[name], source.kit)
    else:
        outcome = run_kit(source.kit, spec.kit.rule, name, OnnxEngine(source.models[name]))
    if not outcome.passed:
        raise NotGood(f"expected its goldens on this machine, found {_told(outcome)}")
    return _told(outcome)


def _told(outcome: KitOutcome) -> str:
    told = (
        f"{outcome.samples} samples, at most {outcome.worst_permille} permille off, "
        f"{outcome.argmax_mismatches} labels changed"
    )
    if outcome.not_finite:
        told += f", {outcome.not_finite} without a number"
    return told + (f"; reads like a {outcome.resembles} kernel" if not outcome.passed and outcome.resembles else "")  # fmt: skip
