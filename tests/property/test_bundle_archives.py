"""Archives, kits and arrays from anywhere: read exactly, or refused by one error, and quickly."""

import contextlib
import io
import zipfile

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.bundle.archive import BadArchive, pack, unpack
from devicesdk.inference.kit import KitError
from devicesdk.inference.npz import ArrayError, read_npy, read_npz
from devicesdk.inference.pictures import PictureError
from devicesdk.inference.tensor_kit import unpack_tensor_kit
from devicesdk.packing.png import SIGNATURE, decode_png
from tests_kit.tensor_models import classify_task

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
NAMES = st.sampled_from(
    ["bundle.json", "manifest.json", "manifest.sig", "sbom.json", "kit/kit.npz", "variants/a.onnx", "pre/x.json"]
)  # fmt: skip
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=300), max_size=5)
EDITS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), min_size=1, max_size=4)


def edited(content, edits):
    out = bytearray(content)
    for at, flip in edits:
        out[at % len(out)] ^= flip
    return bytes(out)


@QUICK
@given(MEMBERS)
def test_what_is_packed_comes_back(members):
    packed = pack(members)
    assert unpack(packed) == members
    assert pack(unpack(packed)) == packed


@QUICK
@given(MEMBERS, EDITS)
def test_any_edited_byte_is_noticed(members, edits):
    packed = pack(members)
    changed = edited(packed, edits)
    try:
        assert unpack(changed) == members
        assert changed == packed
    except BadArchive:
        pass


@QUICK
@given(st.binary(max_size=400), st.booleans())
def test_noise_is_refused(noise, as_zip):
    content = b"PK\x03\x04" + noise if as_zip else noise
    try:
        unpack(content)
    except BadArchive:
        return
    raise AssertionError(f"{content!r} was taken for an archive")


@QUICK
@given(
    st.lists(
        st.tuples(st.text(max_size=20) | NAMES, st.binary(max_size=50)), max_size=4,
        unique_by=lambda pair: pair[0],
    ),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)  # fmt: skip
def test_zips_of_other_programs_are_refused_or_the_same(entries, how):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as made:
        for name, content in entries:
            made.writestr(zipfile.ZipInfo(name or "x"), content, how)
    try:
        found = unpack(stream.getvalue())
    except BadArchive:
        return
    assert pack(found) == stream.getvalue(), "one way to write it"


def _npy():
    stream = io.BytesIO()
    np.save(stream, np.arange(6, dtype=np.float32))
    return stream.getvalue()


def _npz():
    stream = io.BytesIO()
    np.savez_compressed(stream, **{"sample/0000/x": np.ones((1, 8, 8), np.float32)})
    return stream.getvalue()


NPY, NPZ = _npy(), _npz()


@QUICK
@given(EDITS, st.integers(0, 200))
def test_damaged_arrays_are_refused_or_have_as_many_bytes_as_they_say(edits, cut):
    content = edited(NPY, edits)[: len(NPY) - cut]
    with contextlib.suppress(ArrayError):
        assert read_npy(content).nbytes <= len(content)


@QUICK
@given(EDITS)
def test_damaged_kits_are_refused(edits):
    content = edited(NPZ, edits)
    with contextlib.suppress(ArrayError):
        read_npz(content, 100_000)
    with contextlib.suppress(KitError):
        unpack_tensor_kit(content, classify_task())


@QUICK
@given(st.binary(max_size=200))
def test_noise_is_no_png(noise):
    try:
        decode_png(SIGNATURE + noise)
    except PictureError:
        return
    raise AssertionError("noise was taken for a picture")
