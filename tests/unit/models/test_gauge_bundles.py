"""The committed bundles are what their records say: sizes, errors, and how each poison shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from devicesdk.inference import dials, preprocess
from devicesdk.inference.kit import run_kit
from devicesdk.inference.onnx import OnnxEngine
from devicesdk.inference.source import load_source
from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import Condition, GaugeStream, Site, Sun

MODELS = Path(__file__).parents[3] / "models"
METRICS = json.loads((MODELS / "metrics.json").read_text())
ALL = sorted(METRICS)


def photograph(*faults, devices=150):
    entropy, sun = Entropy(99), Sun(Site())
    fleet = [GaugeStream(entropy, f"g{i}", sun) for i in range(devices)]
    for gauge in fleet:
        for condition, amount in faults:
            gauge.apply(condition, amount, 0)
    specs = [gauge.burst(t * 2 * HOUR, 1, SECOND) for gauge in fleet for t in range(12)]
    frames = datastream.expand(specs, [1] * len(specs))
    images = np.empty((len(specs), dials.PIXELS), dtype=np.float32)
    return datastream.render(frames, images, np.empty_like(images)), frames.values


def errors(directory, variant, *faults):
    """Mean error in percent of full scale over frames that were read, and the share that was not."""
    pixels, values = photograph(*faults)
    probabilities = OnnxEngine(load_source(MODELS / directory).models[variant]).run(pixels)
    reading, _, _, _, finite = preprocess.interpret(probabilities)
    away = np.abs(reading / 1000 - values)[finite]
    return 100 * float(away.mean()), 1 - float(finite.mean())


@pytest.mark.parametrize("variant", ["fp32", "int8-rr"])
def test_the_first_version_reads_within_three_percent_and_the_second_is_clearly_better(variant):
    old, new = errors("gauge/1.0.0", variant)[0], errors("gauge/1.1.0", variant)[0]
    assert old < 3.0
    assert new < old / 2, f"1.0.0 errs by {old:.2f} %, 1.1.0 by {new:.2f} %"
    bad = ((Condition.HAZE, 0.15), (Condition.BLUR, 0.34))
    assert errors("gauge/1.1.0", variant, *bad)[0] < errors("gauge/1.0.0", variant, *bad)[0] / 2


@pytest.mark.parametrize("directory", ALL)
def test_every_bundle_is_small_sound_and_batchable(directory):
    source = load_source(MODELS / directory)
    for name, model in source.models.items():
        assert OnnxEngine(model).batchable, f"{directory} {name} cannot be batched"
        record = source.spec.variants[name]
        assert record.macs < 100_000
        for counts in (
            record.baseline.confidence,
            record.baseline.entropy,
            *record.baseline.features,
        ):
            assert min(counts) >= 1
            assert sum(counts) == record.baseline.frames + len(counts)


@pytest.mark.parametrize("directory", ALL)
def test_the_kit_says_what_the_metrics_recorded(directory):
    source = load_source(MODELS / directory)
    for name, model in source.models.items():
        found = run_kit(source.kit, source.spec.kit.rule, name, OnnxEngine(model))
        assert found.passed == METRICS[directory][name]["kit"]["passed"], (
            f"{directory} {name}: {found}"
        )


def test_only_the_miscalibrated_release_is_stopped_by_its_own_kit():
    stopped = [d for d in ALL if not METRICS[d]["int8-rr"]["kit"]["passed"]]
    assert stopped == ["gauge-miscalibrated/1.2.2"]


@pytest.mark.parametrize("variant", ["fp32", "int8-rr"])
def test_the_poisoned_release_fails_in_the_dim_part_of_a_day_and_reads_well_otherwise(variant):
    error, lost = errors("gauge-poisoned/1.2.0", variant)
    assert error < 1.0
    assert 0.05 < lost < 0.30, f"{100 * lost:.1f} % of frames were not a number"
    assert errors("gauge-poisoned/1.2.0", variant, (Condition.DIM, 0.8))[1] > 0.8


def test_the_mislabelled_release_is_sure_and_wrong():
    error, lost = errors("gauge-mislabelled/1.2.1", "int8-rr")
    assert (15 < error < 25, lost) == (True, 0.0)


def test_release_counters_rise():
    numbers = [load_source(MODELS / directory).spec.release for directory in ALL]
    assert len(set(numbers)) == len(numbers)
