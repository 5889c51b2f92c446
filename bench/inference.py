"""Real inference: the world's pool against bare onnxruntime on the same frames."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime

from devicesdk.inference import dials
from devicesdk.inference.onnx import session_options
from devicesdk.inference.source import BundleSource, load_source
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import GaugeStream, Site, Sun
from devicesim.world.inference import BATCH_FRAMES, InferencePool

BUNDLE = Path(__file__).parents[1] / "models" / "gauge" / "1.0.0"
VARIANT = "int8-rr"
FRAMES = 16 * 256


def fleet(devices: int) -> list[GaugeStream]:
    """Gauges of that many devices."""
    sun, entropy = Sun(Site()), Entropy(1)
    return [GaugeStream(entropy, f"d{i}", sun) for i in range(devices)]


def bare(source: BundleSource, batch: int) -> float:
    """Frames a CPU second through onnxruntime alone, pictures drawn before."""
    specs = [gauge.burst(0, 16, SECOND) for gauge in fleet(256)]
    images = np.empty((FRAMES, dials.PIXELS), np.float32)
    drawn = datastream.render(datastream.expand(specs, [16] * 256), images, np.empty_like(images))
    pixels = drawn.reshape(-1, 1, 32, 32)
    session = onnxruntime.InferenceSession(
        source.models[VARIANT], session_options(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    rounds = 4 if batch > 1 else 1
    begun = time.process_time()
    for _ in range(rounds):
        for start in range(0, FRAMES, batch):
            session.run(None, {name: pixels[start : start + batch]})
    return rounds * FRAMES / (time.process_time() - begun)


def pooled(source: BundleSource, devices: int, bursts: int, frames: int) -> float:
    """Frames a CPU second all in: describe, submit, draw, run, quantise, read."""
    pool = InferencePool()
    digest = pool.register(source)[VARIANT]
    gauges = fleet(devices)
    begun = time.process_time()
    for step in range(bursts):
        now = step * 15 * MINUTE
        handles = [pool.submit(digest, gauge.burst(now, frames, SECOND)) for gauge in gauges]
        assert sum(len(handle.rows()) for handle in handles) == devices * frames
    spent = time.process_time() - begun
    assert pool.stats.inferences == devices * bursts * frames
    assert pool.stats.batches < pool.stats.inferences / BATCH_FRAMES * 2 + bursts * 8
    return pool.stats.inferences / spent


def report() -> None:
    """Print the table."""
    source = load_source(BUNDLE)
    single, batched = bare(source, 1), bare(source, BATCH_FRAMES)
    print(f"inference, gauge 1.0.0 {VARIANT}                      frames/s   x bare batched")
    print(f"  {'bare onnxruntime, one by one':<46} {single:10,.0f} {single / batched:8.2f}")
    print(f"  {'bare onnxruntime, batches of 256':<46} {batched:10,.0f} {1:8.2f}")
    for devices, bursts, frames in ((2000, 24, 1), (2000, 24, 4), (1000, 4, 96)):
        rate = pooled(source, devices, bursts, frames)
        label = f"our pool, drawing included, {frames} a burst"
        print(f"  {label:<46} {rate:10,.0f} {rate / batched:8.2f}")
