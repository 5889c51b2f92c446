from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from devicesdk.inference import dials, engine, preprocess
from devicesdk.inference.onnx import OnnxEngine
from devicesdk.inference.source import load_source
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import Condition, GaugeStream, Site, Sun
from devicesim.world import inference
from devicesim.world.inference import InferencePool

MODELS = Path(__file__).parents[4] / "models"
GAUGE = load_source(MODELS / "gauge" / "1.0.0")
NEXT = load_source(MODELS / "gauge" / "1.1.0")


def fleet(count, seed=1):
    entropy, sun = Entropy(seed), Sun(Site())
    return [GaugeStream(entropy, f"gauge-{i}", sun) for i in range(count)]


def pool_of(*sources):
    pool = InferencePool()
    return pool, [pool.register(source) for source in sources]


def one_by_one(source, variant, specs):
    """The same frames without a pool: one session, one frame at a time."""
    loaded, rows = OnnxEngine(source.models[variant]), []
    frames = datastream.expand(specs, [spec.frames for spec in specs])
    images = np.empty((1, dials.PIXELS), dtype=np.float32)
    for index in range(len(frames.bank)):
        datastream.render(frames.window(index, index + 1), images, np.empty_like(images))
        rows.append(preprocess.quantise(images, loaded.run(images), source.spec.edges).rows)
    return np.concatenate(rows)


@pytest.mark.parametrize("variant", ["fp32", "int8-rr"])
def test_batched_results_are_those_of_single_runs(variant):
    specs = [gauge.burst(t * HOUR, 7, SECOND) for gauge in fleet(20) for t in range(3)]
    pool, (digests,) = pool_of(GAUGE)
    handles = [pool.submit(digests[variant], spec) for spec in specs]
    batched = np.concatenate([handle.rows() for handle in handles])
    assert batched.tobytes() == one_by_one(GAUGE, variant, specs).tobytes()
    assert pool.stats.batches == 2, "420 frames are two batches"


def test_more_frames_than_are_laid_out_at_once_keep_their_places():
    gauges = fleet(6)
    specs = [gauge.burst(0, 700 + index, SECOND) for index, gauge in enumerate(gauges)]
    pool, (digests,) = pool_of(GAUGE)
    together = [pool.submit(digests["fp32"], spec) for spec in specs]
    together = [handle.rows() for handle in together]
    for spec, found in zip(specs, together, strict=True):
        alone = pool.submit(digests["fp32"], spec).rows()
        assert found.tobytes() == alone.tobytes(), f"a burst of {spec.frames} frames was mixed up"


def test_nothing_runs_until_somebody_looks_and_then_everything_does():
    pool, (digests,) = pool_of(GAUGE)
    handles = [pool.submit(digests["fp32"], gauge.burst(0, 4, SECOND)) for gauge in fleet(10)]
    assert (pool.stats.flushes, pool.stats.batches, pool.pending_frames) == (0, 0, 40)
    assert handles[3].rows().shape == (4, engine.COLUMNS)
    assert (pool.stats.flushes, pool.stats.batches, pool.pending_frames) == (1, 1, 0)
    handles[9].rows()
    assert pool.stats.flushes == 1, "the second reader finds its results ready"


def test_when_somebody_looks_cannot_be_seen_in_the_results():
    def run(observe_every):
        pool, (old, new) = pool_of(GAUGE, NEXT)
        handles, out = [], []
        for step in range(4):
            for index, gauge in enumerate(gauges):
                digests = old if index % 2 else new
                handles.append(
                    pool.submit(digests["int8-rr"], gauge.burst(step * MINUTE, 3, SECOND))
                )
                if len(handles) % observe_every == 0:
                    out += [handle.rows().tobytes() for handle in handles]
                    handles.clear()
        return b"".join(out + [handle.rows().tobytes() for handle in handles])

    results = []
    for observe_every in (1, 7, 1000):
        gauges = fleet(30)
        results.append(run(observe_every))
    assert results[0] == results[1] == results[2]


def test_a_handle_is_read_once_and_what_it_gives_cannot_be_changed():
    pool, (digests,) = pool_of(GAUGE)
    handle = pool.submit(digests["fp32"], fleet(1)[0].burst(0, 2, SECOND))
    rows = handle.rows()
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1
    for again in (handle.rows, lambda: handle.cut(1)):
        with pytest.raises(RuntimeError, match="freed when read"):
            again()
    handle.cancel()
    assert pool.stats.inferences == 2, "cancelling what was read takes nothing back"


def test_a_cut_burst_runs_and_counts_only_what_the_device_executed():
    gauge = fleet(1)[0]
    spec = gauge.burst(0, 10, SECOND)
    pool, (digests,) = pool_of(GAUGE)
    whole, early, late, gone, half = (pool.submit(digests["fp32"], spec) for _ in range(5))
    early.cut(4)
    gone.cancel()
    expected = whole.rows().tobytes()
    late.cut(6)
    assert early.rows().tobytes() == expected[: 4 * 13 * 2]
    assert late.rows().tobytes() == expected[: 6 * 13 * 2]
    assert half.rows(3).tobytes() == expected[: 3 * 13 * 2]
    assert pool.stats.submitted == 50
    assert pool.stats.inferences == 10 + 4 + 6 + 0 + 3
    run = sum(stats.frames_run for stats in pool.variant_stats().values())
    assert run == 10 + 4 + 10 + 10, "what was cut before anybody looked never ran"


def test_a_burst_cut_to_nothing_has_no_rows():
    pool, (digests,) = pool_of(GAUGE)
    spec = fleet(1)[0].burst(0, 10, SECOND)
    empty = pool.submit(digests["fp32"], spec)
    empty.cut(0)
    empty.cut(5)
    assert empty.rows().shape == (0, engine.COLUMNS)
    with pytest.raises(ValueError, match="0 frames or more"):
        pool.submit(digests["fp32"], spec).cut(-1)


def test_a_full_pool_runs_instead_of_growing(monkeypatch):
    monkeypatch.setattr(inference, "PENDING_FRAMES_MAX", 50)
    pool, (digests,) = pool_of(GAUGE)
    spec = fleet(1)[0].burst(0, 10, SECOND)
    handles = [pool.submit(digests["fp32"], spec) for _ in range(11)]
    assert (pool.stats.flushes, pool.pending_frames) == (2, 10)
    assert len({handle.rows().tobytes() for handle in handles}) == 1
    for _ in range(100):
        pool.submit(digests["fp32"], spec).cancel()
    assert pool.pending_frames <= 50, "cancelled handles are bounded too"


def test_a_kernel_fault_changes_what_int8_reads_and_leaves_fp32_alone():
    specs = [gauge.burst(4 * HOUR, 5, SECOND) for gauge in fleet(30)]

    def mean_error(variant, kernel):
        pool, (digests,) = pool_of(GAUGE)
        for handle in [pool.submit(digests[variant], spec, kernel) for spec in specs]:
            handle.rows()
        (stats,) = pool.variant_stats().values()
        return stats.error_permille_sum / stats.frames_run

    assert mean_error("int8-rr", "default") < 20
    assert mean_error("int8-rr", "saturating") > 60, "permille of full scale"
    assert mean_error("fp32", "saturating") == mean_error("fp32", "default") < 20


def test_the_kit_finds_the_kernel_fault_and_names_it():
    pool, (digests,) = pool_of(NEXT)
    good = pool.run_kit(digests["int8-rr"])
    bad = pool.run_kit(digests["int8-rr"], "saturating")
    assert (good.passed, good.resembles) == (True, "default")
    assert (bad.passed, bad.resembles) == (False, "saturating")
    assert bad.worst_permille > 10 * NEXT.spec.kit.rule.tolerance_permille
    assert pool.run_kit(digests["fp32"], "saturating").passed, "fp32 has no twin: not affected"
    runs = pool.stats.kit_runs
    assert pool.run_kit(digests["int8-rr"], "saturating") == bad
    assert pool.stats.kit_runs == runs == 3, "a kit's outcome is remembered"


def test_models_are_told_apart_in_the_counters():
    pool, (old, new) = pool_of(GAUGE, NEXT)
    spec = fleet(1)[0].burst(0, 5, SECOND)
    for digest, kernel in ((old["fp32"], "default"), (new["int8-rr"], "saturating")):
        pool.submit(digest, spec, kernel).rows()
    assert sorted(pool.variant_stats()) == ["gauge@1.0.0/fp32", "gauge@1.1.0/int8-rr+saturating"]


def test_an_unknown_model_is_refused_with_those_that_are_known():
    pool, _ = pool_of(GAUGE)
    with pytest.raises(KeyError, match=r"1\.0\.0/fp32.*register"):
        pool.submit(b"\0" * 32, fleet(1)[0].burst(0, 1, 0))


def test_one_file_cannot_have_two_sets_of_edges(monkeypatch):
    pool, _ = pool_of(NEXT)
    pool.register(NEXT)
    edges = msgspec.structs.replace(NEXT.spec.edges, entropy=tuple(range(1, 16)))
    other = msgspec.structs.replace(NEXT, spec=msgspec.structs.replace(NEXT.spec, edges=edges))
    with pytest.raises(ValueError, match="bin edges"):
        pool.register(other)
    monkeypatch.setattr(inference, "VARIANTS_MAX", 3)
    with pytest.raises(ValueError, match="at most 3 models"):
        pool.register(GAUGE)


def test_a_data_fault_reaches_the_features():
    good, dim = fleet(2, seed=5)[0], fleet(2, seed=5)[0]
    dim.apply(Condition.DIM, 0.8, 0)
    pool, (digests,) = pool_of(NEXT)
    handles = [pool.submit(digests["fp32"], g.burst(0, 5, SECOND)) for g in (good, dim)]
    luminance = [handle.rows()[:, engine.COLUMN_FEATURES].max() for handle in handles]
    assert luminance[1] == 0 < luminance[0], "the lowest bin of the baseline's luminance"
