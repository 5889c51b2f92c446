"""Each kind of bundle reads what its devices sense, with the results of single runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from devicesdk.inference import engine, preprocess
from devicesdk.inference.kit import KERNEL_SATURATING
from devicesdk.inference.onnx import OnnxEngine
from devicesdk.inference.source import SourceError, load_any, load_source, reader_of
from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.entropy import Entropy
from devicesim.models import roadstream
from devicesim.models.datastream import Condition, Site, Sun
from devicesim.stock import load_sources
from devicesim.world.inference import InferencePool
from devicesim.world.senses import SENSES, TensorWork, kind_of
from tests_kit.blueprints import completed

MODELS = Path(__file__).parents[4] / "models"
BAD_WEATHER = ((Condition.DIM, 0.8), (Condition.BLUR, 0.8))


def source_of(bundle):
    return load_any(reader_of(MODELS / bundle))


def fleet(kind, count):
    entropy, sun = Entropy(3), Sun(Site())
    return [SENSES[kind].stream(entropy, f"d{i}", sun) for i in range(count)]


def read(bundle, streams, frames, now=HOUR, variant="fp32", kernel="default"):
    pool = InferencePool()
    digest = pool.register(source_of(bundle))[variant]
    handles = [pool.submit(digest, s.burst(now, frames, SECOND), kernel) for s in streams]
    return np.concatenate([handle.rows() for handle in handles]), pool


def error_percent(pool):
    (stats,) = pool.variant_stats().values()
    return stats.error_permille_sum / stats.frames_run / 10


def test_lanes_are_read_as_by_single_runs():
    streams = fleet("lane", 6)
    rows, pool = read("lane/1.1.0", streams, 5, variant="int8-rr")
    specs = [stream.burst(HOUR, 5, SECOND) for stream in fleet("lane", 6)]
    source = load_source(MODELS / "lane" / "1.1.0")
    loaded, frames = OnnxEngine(source.models["int8-rr"]), roadstream.expand(specs, [5] * 6)
    alone = []
    for index in range(30):
        pixels = roadstream.render(frames.window(index, index + 1), np.empty((1, 1024), np.float32))
        alone.append(preprocess.quantise(pixels, loaded.run(pixels), source.spec.edges).rows)
    assert rows.tobytes() == np.concatenate(alone).tobytes()
    assert pool.stats.batches == 1
    assert error_percent(pool) < 4


def test_weather_makes_the_old_reader_worse_than_the_new_one():
    found = {}
    for version in ("1.0.0", "1.1.0"):
        streams = fleet("lane", 60)
        for stream in streams:
            for condition, amount in BAD_WEATHER:
                stream.apply(condition, amount, 0)
        found[version] = error_percent(read(f"lane/{version}", streams, 8)[1])
    assert found["1.0.0"] > 1.3 * found["1.1.0"], found


def test_a_lane_reader_on_a_saturating_kernel_fails_its_kit():
    pool = InferencePool()
    digest = pool.register(source_of("lane/1.0.0"))["int8-rr"]
    assert pool.run_kit(digest).passed
    broken = pool.run_kit(digest, KERNEL_SATURATING)
    assert not broken.passed
    assert broken.resembles == KERNEL_SATURATING


def test_commands_are_heard_as_by_single_runs():
    completed("keyword/1.0.0")
    streams = fleet("keyword", 5)
    rows, pool = read("keyword/1.0.0", streams, 8)
    again = [read("keyword/1.0.0", [stream], 8)[0] for stream in fleet("keyword", 5)]
    assert rows.tobytes() == np.concatenate(again).tobytes()
    right = rows[:, engine.COLUMN_READING] == np.rint(rows[:, engine.COLUMN_LABEL] * 1000 / 7)
    assert right.all(), "the reading is the label"
    assert error_percent(pool) < 5
    (digest,) = pool.register(source_of("keyword/1.0.0")).values()
    assert pool.run_kit(digest).passed


def test_notes_are_read_as_by_single_runs_and_each_once(monkeypatch):
    completed("notes/1.0.0")
    read_now, seen = TensorWork._read, []

    def counting(work, sample):
        seen.append(sample["ids"].tobytes())
        return read_now(work, sample)

    monkeypatch.setattr(TensorWork, "_read", counting)
    rows, _ = read("notes/1.0.0", [stream for stream in fleet("notes", 4) for _ in range(3)], 3)
    assert len(rows) == 36
    assert len(seen) == len({*seen}) <= 12, "the same note was read again"
    streams = fleet("notes", 4)
    rows, pool = read("notes/1.0.0", streams, 3)
    alone = [read("notes/1.0.0", [stream], 3)[0] for stream in fleet("notes", 4)]
    assert rows.tobytes() == np.concatenate(alone).tobytes()
    assert (rows[:, engine.COLUMN_ERROR] == engine.InferenceError.OK).all()
    (digest,) = pool.register(source_of("notes/1.0.0")).values()
    assert pool.run_kit(digest).passed


def test_a_bundle_on_a_device_that_senses_something_else_is_an_authors_error():
    with pytest.raises(ValueError, match="senses 'gauge'"):
        read("lane/1.0.0", fleet("gauge", 1), 1)
    assert kind_of("gauge") == kind_of("gauge-of-mine") == "gauge"


def test_a_missing_model_says_which_extra_makes_it(tmp_path):
    folder = tmp_path / "models" / "keyword"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_bytes((MODELS / "keyword/1.0.0/bundle.json").read_bytes())

    class Bundle:
        reference, path = "keyword@1.0.0", str(folder)

    class Wanted:
        bundles = (Bundle(),)

    with pytest.raises(SourceError, match=r"fleetdrill\[audio,text\].*complete\.py"):
        load_sources(Wanted(), tmp_path / "scenario.yaml")
