"""The archive: one way to write it, and nothing else is read."""

import io
import stat
import struct
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from devicesdk.bundle import archive
from devicesdk.bundle.archive import BadArchive, archive_name, file_reader, pack, unpack
from devicesdk.bundle.source import SourceError

MEMBERS = {
    "variants/fp32.onnx": b"weights" * 100,
    "bundle.json": b"{}",
    "kit/kit.npz": b"samples",
    "manifest.json": b"[]",
    "variants/int8-rr.onnx": b"",
}
GOOD = pack(MEMBERS)


def zipped(*entries, compress=zipfile.ZIP_STORED):
    """A zip as another program writes it: entries are (name or ZipInfo, content)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compress) as made:
        for name, content in entries:
            made.writestr(name, content)
    return stream.getvalue()


def refused(packed):
    with pytest.raises(BadArchive) as caught:
        unpack(packed)
    story = str(caught.value)
    told = [word for word in ("expected", "found") if word in story]
    assert told == ["expected", "found"], f"a refusal tells both: {story}"
    return caught.value.reason


def test_what_was_packed_comes_out_in_the_archives_order():
    assert list(unpack(GOOD)) == [
        "manifest.json", "bundle.json", "kit/kit.npz", "variants/fp32.onnx", "variants/int8-rr.onnx",
    ]  # fmt: skip
    assert unpack(GOOD) == MEMBERS


def test_the_order_of_the_members_changes_nothing():
    assert pack(dict(reversed(MEMBERS.items()))) == GOOD


def test_the_same_contents_give_the_same_bytes_in_every_process():
    code = (
        "from hashlib import sha256; from devicesdk.bundle.archive import pack;"
        f"print(sha256(pack({MEMBERS!r})).hexdigest())"
    )
    root = Path(__file__).parents[4]
    for seed in ("1", "77"):
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
        )  # fmt: skip
        assert ran.stdout.strip() == sha256(GOOD).hexdigest(), f"hash seed {seed} changes the bytes"


def test_any_unzip_opens_it():
    with zipfile.ZipFile(io.BytesIO(GOOD)) as opened:
        assert opened.testzip() is None
        assert opened.read("variants/fp32.onnx") == MEMBERS["variants/fp32.onnx"]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/cron.d/x", "variants/../../x.onnx", "/etc/passwd", "C:\\x.onnx", "variants\\x.onnx",
        "variants/a/b.onnx", "variants/", "other/x.onnx", "bundle.json/x", "variants/.hidden",
        "variants/UPPER.onnx", "kit/" + "n" * 70, "variants/x\n.onnx",
    ],
)  # fmt: skip
def test_names_that_lead_anywhere_are_refused(name):
    assert refused(zipped((name, b"x"))) == "name"
    with pytest.raises(BadArchive):
        pack({name: b"x"})


def test_a_name_with_a_zero_byte_is_judged_as_it_stands_in_the_file():
    packed = zipped(("variants/x.onnx_evil", b"x")).replace(b"x.onnx_evil", b"x.onnx\0evil")
    assert refused(packed) == "name"


def test_a_link_is_refused():
    link = zipfile.ZipInfo("variants/fp32.onnx")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert refused(zipped((link, b"/etc/passwd"))) == "symlink"


def test_the_same_name_twice_is_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        packed = zipped(("bundle.json", b"{}"), ("bundle.json", b"[]"))
    assert refused(packed) == "duplicate"


def test_a_bomb_is_refused_before_it_is_unpacked():
    packed = zipped(("variants/fp32.onnx", bytes(30_000_000)), compress=zipfile.ZIP_DEFLATED)
    assert len(packed) < 100_000
    assert refused(packed) == "compressed"


def test_a_declared_size_beyond_the_limit_is_refused_whatever_is_there():
    packed = bytearray(zipped(("variants/fp32.onnx", b"x" * 10)))
    at = packed.index(b"PK\x01\x02") + 20  # sizes in the central directory
    packed[at : at + 8] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    assert refused(bytes(packed)) == "size"


def test_overlapping_members_are_refused():
    """Many entries of the directory that point to one content: small file, large sum."""
    packed = zipped(("variants/a.onnx", b"x" * 5000), ("variants/b.onnx", b""))
    second = packed.rindex(b"PK\x01\x02")
    crc = packed[packed.index(b"PK\x01\x02") + 16 :][:4]
    changed = bytearray(packed)
    changed[second + 16 : second + 28] = crc + struct.pack("<II", 5000, 5000)
    changed[second + 42 : second + 46] = struct.pack("<I", 0)
    assert refused(bytes(changed)) in {"size", "corrupt"}


def test_too_many_files_are_refused():
    many = [(f"variants/{index}.onnx", b"") for index in range(archive.MEMBERS_MAX + 1)]
    assert refused(zipped(*many)) == "crowded"


def test_a_flipped_bit_is_noticed_wherever_it_is():
    for at in range(0, len(GOOD), 37):
        changed = bytearray(GOOD)
        changed[at] ^= 4
        with pytest.raises(BadArchive):
            unpack(bytes(changed))


@pytest.mark.parametrize("cut", [0, 3, 30, 200, -30, -1])
def test_an_archive_that_was_cut_short_is_corrupt(cut):
    assert refused(GOOD[:cut]) == "corrupt"


@pytest.mark.parametrize(
    "packed",
    [
        GOOD + b"and more",
        b"#!/bin/sh\n" + GOOD,
        zipped(*MEMBERS.items()),
        zipped(*sorted(MEMBERS.items())),
    ],
)
def test_what_another_program_packed_or_hid_is_refused(packed):
    assert refused(packed) in {"strange", "corrupt"}


def test_an_encrypted_member_is_refused():
    changed = bytearray(GOOD)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[changed.index(mark) + offset] |= 1
    assert refused(bytes(changed)) == "encrypted"


def test_too_large_an_archive_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(archive, "ARCHIVE_BYTES_MAX", 100)
    assert refused(GOOD) == "size"


def test_files_are_found_by_their_plain_names():
    read = file_reader(unpack(GOOD))
    assert read("fp32.onnx", 7) == b"weights"
    with pytest.raises(SourceError, match=r"expected the file other\.onnx"):
        read("other.onnx", 10)
    with pytest.raises(BadArchive, match="two of the same"):
        file_reader({"kit/a": b"", "variants/a": b""})


def test_an_archive_is_called_by_what_is_in_it():
    assert archive_name("gauge", "1.8.0", "int8-rr", "arm64") == "gauge-1.8.0-int8-rr-arm64.zip"
