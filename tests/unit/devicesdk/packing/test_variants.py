"""Other builds of a model."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from devicesdk.packing import graph, kits, variants
from devicesdk.packing.errors import CannotPack
from devicesdk.packing.study import Said, study
from tests_kit import tensor_models as little

ROOT = Path(__file__).parents[4]


def made(name, model=None, seed=5):
    loaded = graph.load(model or little.classifier())
    found = study(loaded, little.pictures(seed=seed), Said())
    return variants.build(name, loaded, found.task, found.samples), found


@pytest.mark.parametrize("name", ["fp16", "int8-rr", "int8"])
def test_a_variant_is_smaller_and_says_nearly_the_same(name):
    built, found = made(name)
    assert built.name == name
    seen = kits.look(name, built.content, found.task, found.samples)
    measured = kits.measure(found.task, seen, kits.Seen("fp32", found.outputs))
    assert measured["agreement_permille"] >= 900
    assert measured["distance_permille_mean"] <= 20
    if name == "fp16":  # seven little tensors: the quantiser's nodes cost more than they save
        assert len(built.content) < len(little.classifier())


def test_reduced_weights_have_seven_bits_and_full_ones_eight():
    def reach(name):
        weights = graph.weights_of(graph.load(made(name)[0].content))
        return max(int(np.abs(w.astype(int)).max()) for w in weights.values() if w.dtype == np.int8)

    assert (reach("int8-rr"), reach("int8")) == (64, 127)


def test_an_older_operator_set_is_made_new_enough_to_quantise_by_channel():
    built, _ = made("int8-rr", little.classifier(opset=11))
    assert graph.opset_of(graph.load(built.content)) == 13


def test_what_is_quantised_is_not_quantised_again():
    built, found = made("int8-rr")
    assert variants.as_given(graph.load(built.content), built.content).name == "int8"
    with pytest.raises(CannotPack, match="quantised already"):
        variants.build("int8", graph.load(built.content), found.task, found.samples)


def test_a_model_without_anything_to_quantise_says_so():
    loaded = graph.load(little.embedder())
    found = study(loaded, little.sentences(), Said(kind="embed"))
    with pytest.raises(CannotPack, match="one of the operators Conv, Gemm, MatMul"):
        variants.build("int8", loaded, found.task, found.samples)
    with pytest.raises(CannotPack, match="'fp8'"):
        variants.build("fp8", loaded, found.task, found.samples)


def test_the_same_bytes_come_out_of_every_process():
    code = (
        "from tests_kit.tensor_models import bundle; from hashlib import sha256;"
        "from devicesdk.bundle.archive import pack;"
        "b = bundle(wanted=('fp32', 'fp16', 'int8-rr', 'int8'));"
        "print(sha256(pack(b.members)).hexdigest())"
    )
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import conftest; {code}"
    told = set()
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        ran = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        told.add(ran.stdout.strip())
    assert len(told) == 1, f"two processes built two bundles: {told}"
    assert len(told.pop()) == len(sha256().hexdigest())
