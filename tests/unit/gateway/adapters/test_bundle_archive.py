"""An uploaded archive becomes blobs, or nothing at all."""

from hashlib import sha256

import pytest

from devicesdk.bundle.archive import SIGNATURE_FILE, BadArchive, pack, unpack
from devicesdk.bundle.source import SourceError
from devicesdk.bundle.trust import ROLE_TARGETS
from devicesdk.wire.errors import ProtocolError
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.bundle_archive import open_archive
from gateway.ports import BlobError
from tests_kit.agent_bundles import SIGNERS
from tests_kit.archives import archive
from tests_kit.open_files import held_below

BYTES_MAX = 16 * 1024 * 1024


@pytest.fixture
def blobs(tmp_path):
    made = FileBlobs(tmp_path / "blobs")
    yield made
    made.close()


def stored(tmp_path):
    return sorted(p.name for p in (tmp_path / "blobs").rglob("*") if p.is_file())


def test_what_the_manifest_names_is_in_the_store_and_the_archive_is_not(blobs, tmp_path):
    packed = archive()
    opened = open_archive(blobs, blobs.put(packed), BYTES_MAX)
    assert opened.bundle == "gauge@1.0.0"
    envelope = unpack(packed)[SIGNATURE_FILE]
    assert opened.digest == sha256(envelope).hexdigest()
    names = stored(tmp_path)
    assert opened.digest in names
    assert sha256(packed).hexdigest() not in names, "the archive was left behind"
    assert held_below(tmp_path) == [], "an open file keeps the archive's bytes on the disk"
    assert opened.bytes == sum(blobs.size_bytes(bytes.fromhex(name)) for name in names)


@pytest.mark.parametrize(
    ("packed", "error", "word"),
    [
        (archive(signer=None), SourceError, "targets.key"),
        (archive()[:-40], BadArchive, "cut"),
        (b"PK" + bytes(4000), BadArchive, "damaged"),
        (
            pack(unpack(archive()) | {SIGNATURE_FILE: unpack(archive("1.1.0"))[SIGNATURE_FILE]}),
            SourceError,
            "another one's",
        ),
        (pack(unpack(archive()) | {SIGNATURE_FILE: b"no envelope"}), ProtocolError, "expected"),
        (
            pack(
                unpack(archive())
                | {SIGNATURE_FILE: SIGNERS[ROLE_TARGETS].seal(b'{"id":"g","version":"1.0.0","release":1,"variants":[]}')}
            ),
            SourceError,
            "variant",
        ),
    ],
    ids=["unsigned", "cut", "garbage", "signature of another", "no signature", "no variant"],
)  # fmt: skip
def test_what_is_wrong_is_told_and_leaves_nothing_but_itself(blobs, tmp_path, packed, error, word):
    digest = blobs.put(packed)
    with pytest.raises(error, match=word):
        open_archive(blobs, digest, BYTES_MAX)
    assert stored(tmp_path) == [digest.hex()]


def test_one_that_is_too_large_is_not_read(blobs):
    digest = blobs.put(archive())
    with pytest.raises(BadArchive, match="bundle publish") as refused:
        open_archive(blobs, digest, 1000)
    assert refused.value.reason == "size"


def test_one_that_is_not_here_is_said_so(blobs):
    with pytest.raises(BlobError):
        open_archive(blobs, bytes(32), BYTES_MAX)
