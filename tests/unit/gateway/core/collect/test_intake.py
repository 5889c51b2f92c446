from __future__ import annotations

import msgpack
import pytest

from devicesdk.sketches.histogram import unpack
from devicesdk.wire import codec
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.messages import Telemetry
from gateway.core.collect.intake import decode_telemetry, histograms_of
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.totals import BINS

LIMITS = CollectLimits()


def test_decoding_agrees_with_the_codec(lab):
    message = lab.telemetry(errors={"E7": 2}, probe_residual=-3, hll=b"h", kll=b"k")
    payload = codec.encode(message)
    assert decode_telemetry(payload, LIMITS) == message == codec.decode(Telemetry, payload)


def test_unknown_fields_are_skipped(lab):
    body = msgpack.unpackb(codec.encode(lab.telemetry())) | {"zz": {"y": [1]}}
    assert decode_telemetry(msgpack.packb(body), LIMITS) == lab.telemetry()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x80",
        msgpack.packb([1]),
        msgpack.packb({"b": 1, "q": 1, "d": b"too long a digest", "n": 4}),
        msgpack.packb({"b": 1, "q": -1, "d": b"", "n": 4}),
        msgpack.packb({"b": 1, "q": 1, "d": b"", "n": 4, "er": {"E": "many"}}),
        msgpack.packb({"b": 1, "q": 1, "d": b"", "n": LIMITS.window_frames_max + 1}),
        b"\x81\xa1\xff\x01",
        b"\x91" * 2000,
        b"\0" * (LIMITS.telemetry_bytes_max + 1),
    ],
)
def test_rubbish_is_a_bad_message(payload):
    with pytest.raises(BadMessage):
        decode_telemetry(payload, LIMITS)


def test_histograms_stand_in_a_row(lab):
    message = lab.telemetry(look=3, slow=7)
    row = unpack(histograms_of(message), BINS)
    assert [i for i, count in enumerate(row) if count] == [3, 23, 43, *range(55, 132, 10)]


def test_wide_counts_and_absent_histograms_are_fine(lab):
    message = lab.telemetry(frames=1000, entropy=b"", features=b"")
    row = unpack(histograms_of(message), BINS)
    assert sum(row[:20]) == 1000
    assert row[20:36] == [0] * 16
    assert row[52:] == [0] * 80


@pytest.mark.parametrize(
    "fields",
    [
        {"confidence": bytes(19)},
        {"entropy": bytes(17)},
        {"latency": bytes(15) + b"\x80"},
        {"features": bytes(79)},
        # Together the right number of bins, but not each.
        {"confidence": bytes(16), "entropy": bytes(20)},
        {"latency": bytes(20), "features": bytes(76)},
    ],
)
def test_a_histogram_has_exactly_its_bins(lab, fields):
    with pytest.raises(BadMessage, match="expected"):
        histograms_of(lab.telemetry(**fields))
