"""The window's bytes: exact histograms, equal to the codec's, small."""

from __future__ import annotations

from hashlib import sha256

import pytest

from devicesdk.agent.stimuli import Conditions, FramesRan
from devicesdk.agent.telemetry import SKETCH_READINGS_MIN, Probed, encode_window
from devicesdk.sketches.cardinality import hll_bytes
from devicesdk.sketches.histogram import unpack
from devicesdk.sketches.membership import Members
from devicesdk.sketches.quantile import kll_values
from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry
from devicesdk.wire.timebase import MS, SECOND
from tests_kit.agent_charts import Rows


def _rows(frames, error_every=0):
    made = []
    for number in range(frames):
        spread = sha256(b"%d" % number).digest()
        features = [byte % 10 for byte in spread[:8]]
        error = int(bool(error_every) and number % error_every == 0)
        reading, sure, undecided = 4 * number % 1001, spread[8] % 20, spread[9] % 16
        made.append([reading, sure, undecided, *features, error])
    return made


def _window(rows, *, sketches=True, span=900 * SECOND, flags_rev=3, throttled=2, conditions=None):
    conditions = conditions or Conditions(battery_percent=80, chip_c=41)
    ran = FramesRan(1, len(rows), Rows(0), 12_345, throttled, conditions)
    return encode_window(5, 9, b"bundle88", flags_rev, span, ran, rows, sketches=sketches)


@pytest.mark.parametrize("sketches", [True, False])
@pytest.mark.parametrize("error_every", [0, 3, 1])
@pytest.mark.parametrize("frames", [1, 4, 64, 65, 1000])
def test_the_bytes_are_those_of_the_codec(frames, error_every, sketches):
    payload, _ = _window(_rows(frames, error_every), sketches=sketches)
    assert codec.encode(codec.decode(Telemetry, payload)) == payload


def test_fields_at_their_default_are_left_out_as_the_codec_does():
    plain = Conditions(battery_percent=100, chip_c=0)
    payload, _ = _window(_rows(4), span=0, flags_rev=0, throttled=0, conditions=plain)
    assert codec.encode(codec.decode(Telemetry, payload)) == payload


def test_every_frame_is_counted_once():
    rows = _rows(50, error_every=5)
    payload, errors = _window(rows)
    window = codec.decode(Telemetry, payload)
    good = [row for row in rows if not row[11]]
    assert (errors, window.errors) == (10, {"not-finite": 10})
    assert (window.frames, window.span_ms, window.throttled) == (50, 900_000, 2)
    assert (window.boot_id, window.seq, window.bundle) == (5, 9, b"bundle88")
    assert (window.chip_c, window.battery_percent, window.flags_rev) == (41, 80, 3)
    confidence = unpack(window.confidence, 20)
    assert confidence == [sum(row[1] == b for row in good) for b in range(20)]
    assert unpack(window.entropy, 16) == [sum(row[2] == b for row in good) for b in range(16)]
    features = unpack(window.features, 80)
    assert features == [sum(row[3 + f] == b for row in rows) for f in range(8) for b in range(10)]
    assert sum(unpack(window.latency, 16)) == 50
    assert kll_values(window.kll) == tuple(sorted(float(row[0]) for row in good))


def test_the_sketch_of_readings_travels_only_while_it_is_exact():
    assert codec.decode(Telemetry, _window(_rows(64))[0]).kll
    assert not codec.decode(Telemetry, _window(_rows(65))[0]).kll
    assert not codec.decode(Telemetry, _window(_rows(64), sketches=False)[0]).hll


def test_a_sketch_of_very_few_readings_stays_at_home():
    few = codec.decode(Telemetry, _window(_rows(SKETCH_READINGS_MIN - 1))[0])
    assert (few.kll, few.hll) == (b"", b"")
    enough = codec.decode(Telemetry, _window(_rows(SKETCH_READINGS_MIN))[0])
    assert enough.kll
    assert enough.hll


def test_the_distinct_sketch_hashes_feature_rows():
    rows = [[1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 0]] * SKETCH_READINGS_MIN
    assert codec.decode(Telemetry, _window(rows)[0]).hll == hll_bytes([87_654_321])


def test_an_unknown_error_has_a_name_too():
    rows = _rows(2)
    rows[0][11] = 7
    assert codec.decode(Telemetry, _window(rows)[0]).errors == {"error-7": 1}


def test_a_thousand_frames_fit_into_352_bytes_before_sketches():
    payload, _ = _window(_rows(1000), sketches=False)
    assert len(payload) <= 352, f"{len(payload)} bytes"


def test_a_window_shorter_than_a_millisecond_has_no_span():
    assert codec.decode(Telemetry, _window(_rows(1), span=MS - 1)[0]).span_ms == 0


@pytest.mark.parametrize(("frames", "goes"), [(4, False), (20, True), (100, True), (1000, False)])
def test_a_filter_of_feature_rows_goes_along_where_it_can_hold_them_and_hides_few_readings(
    frames, goes
):
    rows = [[500, 9, 3, *(number // 10**k % 10 for k in range(8)), 0] for number in range(frames)]
    ran = FramesRan(1, frames, Rows(frames), 9000, 0, Conditions())
    told = []
    for bloom in (False, True):
        payload, _ = encode_window(
            7, 3, b"bundle-8", 3, SECOND, ran, rows, sketches=False, bloom=bloom,
            probed=Probed(True, 3, 0, 0, "", 47, 8), debug=(41, b"\x01" * 8),
        )  # fmt: skip
        window = codec.decode(Telemetry, payload)
        assert codec.encode(window) == payload, "the map built by hand is in another order"
        told.append(window.bloom)
        assert (window.probe_chip_c, window.probe_latency, window.debug_grant) == (47, 8, 41)
    assert told[0] == b""
    assert bool(told[1]) is goes
    if goes:
        seen = Members()
        seen.add(told[1])
        assert all(seen.might_contain(number) for number in range(frames))


def test_windows_of_one_frame_add_up_to_the_window_of_all():
    rows = [*_rows(100), [500, 19, 15, *[9] * 8, 0], [500, 0, 0, *[0] * 8, 0]]
    whole = codec.decode(Telemetry, _window(rows)[0])
    alone = [codec.decode(Telemetry, _window([row])[0]) for row in rows]
    assert all(_window([row])[1] == 0 for row in rows), "none of these frames is in error"
    for name, bins in (("confidence", 20), ("entropy", 16), ("latency", 16), ("features", 80)):
        columns = zip(*(unpack(getattr(one, name), bins) for one in alone), strict=True)
        added = [sum(column) for column in columns]
        assert added == unpack(getattr(whole, name), bins), f"{name} of lone frames differ"
