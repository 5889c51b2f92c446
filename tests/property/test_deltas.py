"""Any edit comes back exactly, any damage is refused or makes other bytes, and nothing ever writes too much."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from devicesdk.bundle.delta import BadDelta
from devicesdk.bundle.delta_apply import InMemory, apply_delta, apply_in_memory
from devicesdk.bundle.delta_build import encode_full, encode_prefix, encode_words
from devicesdk.bundle.delta_words import Form, add, difference, lay_out, pick_up
from tests_kit.agent_bundles import pattern

QUICK = settings(derandomize=True, deadline=None, max_examples=60)
BASE = pattern(1, 20_000)
FIXED = BASE[:9_000] + pattern(2, 2_000) + BASE[11_000:]
DELTAS = [encode_full(FIXED), encode_prefix(BASE, FIXED), encode_words(BASE, FIXED)]

edits = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.integers(0, 3_000),
        st.one_of(st.binary(max_size=40), st.integers(1, 4_000).map(lambda n: pattern(n, n))),
    ),
    max_size=5,
)


def _edit(base, changes):
    for at, gone, new in changes:
        base = base[:at] + new + base[at + gone :]
    return base or b"\0"


@QUICK
@given(edits)
def test_any_edit_comes_back(changes):
    target = _edit(BASE, changes)
    for delta in (encode_full(target), encode_prefix(BASE, target), encode_words(BASE, target)):
        assert apply_in_memory(delta.data, BASE, len(target)) == target


@QUICK
@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
def test_any_two_files_will_do(base, target):
    for delta in (encode_prefix(base, target), encode_words(base, target)):
        assert apply_in_memory(delta.data, base, len(target)) == target


@QUICK
@given(
    st.sampled_from([1, 2, 4]),
    st.sampled_from(list(Form)),
    st.integers(1, 200),
    st.randoms(use_true_random=False),
)
def test_any_words_come_back_in_any_form(width, form, count, luck):
    old, new = luck.randbytes(width * count), luck.randbytes(width * count)
    assume(old != new)  # what is the same is copied, not compared
    data, at = lay_out(difference(old, new, width), old, width, form), 0

    def exactly(size):
        nonlocal at
        at += size
        return data[at - size : at]

    assert add(old, pick_up(exactly, old, width, form), width) == new
    assert at == len(data)


def _tried(data, base=BASE):
    """What is written of a delta of unknown origin; None when it is refused."""
    parts = []
    try:
        apply_delta(InMemory(data), InMemory(base), len(FIXED), parts.append)
    except BadDelta:
        assert sum(map(len, parts)) <= len(FIXED)
        return None
    out = b"".join(parts)
    assert len(out) == len(FIXED)
    return out


@QUICK
@given(st.sampled_from(DELTAS), st.integers(0, 2**16))
def test_a_delta_that_is_cut_off_is_refused(delta, keep):
    assert _tried(delta.data[: keep % len(delta.data)]) is None


@settings(QUICK, max_examples=200)
@given(st.sampled_from(DELTAS), st.integers(0, 2**16), st.integers(1, 255))
def test_a_flipped_byte_never_writes_too_much(delta, at, flip):
    place = at % len(delta.data)
    damaged = bytearray(delta.data)
    damaged[place] ^= flip
    _tried(bytes(damaged))  # which checks sizes; what it makes is held against the manifest
    if place < 5 or 16 <= place < 56:  # magic, encoder, target size, base
        assert _tried(bytes(damaged)) is None


@QUICK
@given(st.binary(max_size=400))
def test_noise_behind_a_header_is_refused_or_is_not_the_image(noise):
    for delta in DELTAS:
        out = _tried(delta.data[:88] + noise)
        assert out is None or out != FIXED


@QUICK
@given(st.integers(0, 19_999), st.integers(1, 255))
def test_another_base_is_refused(at, flip):
    base = bytearray(BASE)
    base[at] ^= flip
    for delta in DELTAS[1:]:
        assert _tried(delta.data, bytes(base)) is None


def test_weights_of_any_layout_come_back():
    rng = np.random.Generator(np.random.Philox(4))
    for step in (1, 2, 3, 7):
        old = rng.integers(0, 256, 100_003, dtype=np.uint8)
        new = old.copy()
        new[::step] += rng.integers(0, 3, new[::step].size, dtype=np.uint8)
        delta = encode_words(old.tobytes(), new.tobytes())
        assert apply_in_memory(delta.data, old.tobytes(), new.size) == new.tobytes()
