"""Privacy mode on the device: noise that nobody can repeat, and nothing that quotes inputs."""

from __future__ import annotations

from devicesdk.agent.privacy import Secret, Veil
from devicesdk.agent.stimuli import Conditions, FramesRan
from devicesdk.agent.telemetry import encode_window
from devicesdk.sketches.histogram import unpack
from devicesdk.sketches.laplace import offset_of
from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry
from devicesdk.wire.timebase import SECOND
from tests_kit.agent_charts import Rows


def _window(frames, seed=1, errors=0):
    rows = Rows(frames - errors).rows() + Rows(errors, error=1).rows()
    ran = FramesRan(1, frames, Rows(0), 5_000, 0, Conditions())
    payload, found = encode_window(
        1, 1, b"bundle88", 0, 900 * SECOND, ran, rows,
        sketches=True, count_min=True, veil=Veil(Secret(seed, 1), 1000, 20),
    )  # fmt: skip
    assert found == errors, "the trial's clock is told the truth"
    return payload, codec.decode(Telemetry, payload)


def test_draws_are_even_repeatable_and_another_boots_are_others():
    secret = Secret(2**200 + 1, 1)
    drawn = [secret.below(10) for _ in range(5_000)]
    assert all(380 < drawn.count(face) < 620 for face in range(10))
    again, other, later = Secret(2**200 + 1, 1), Secret(2**200 + 2, 1), Secret(2**200 + 1, 2)
    assert [again.below(10) for _ in range(50)] == drawn[:50]
    assert [other.below(10) for _ in range(50)] != drawn[:50]
    assert [later.below(10) for _ in range(50)] != drawn[:50], "all bits of a seed count"


def test_a_private_window_quotes_nothing():
    _, window = _window(64)
    assert (window.kll, window.hll, window.count_min, window.top) == (b"", b"", b"", b"")
    assert window.privacy_permille == 1000


def test_each_count_is_noised_and_the_sum_over_many_is_right():
    offset, totals = offset_of(1000), [0] * 20
    for seed in range(200):
        _, window = _window(100, seed)
        for place, count in enumerate(unpack(window.confidence, 20)):
            totals[place] += count - offset
    # 200 windows, standard deviation of one count 28.3: 400 of the sum; four of them.
    expected = [0] * 10 + [20_000] + [0] * 9
    assert all(abs(found - true) < 1_600 for found, true in zip(totals, expected, strict=True))
    assert sum(found != true for found, true in zip(totals, expected, strict=True)) > 15


def test_too_few_frames_carry_no_histogram_of_inputs():
    _, window = _window(19, errors=3)
    assert (window.confidence, window.entropy, window.features) == (b"", b"", b"")
    assert (window.errors, window.frames) == ({}, 19)
    assert window.latency


def test_errors_are_noised_too():
    found = [_window(100, seed, errors=50)[1].errors.get("not-finite", 0) for seed in range(60)]
    assert len(set(found)) > 20
    assert 30 < sum(found) / len(found) < 75


def test_the_bytes_are_those_of_the_codec():
    payload, window = _window(1000)
    assert codec.encode(window) == payload
    assert len(payload) <= 352, f"{len(payload)} bytes"
