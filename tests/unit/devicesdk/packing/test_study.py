"""What a model is for is found, said, or asked for."""

import numpy as np
import pytest

from devicesdk.inference.tasks import TensorSpec
from devicesdk.packing import graph
from devicesdk.packing.errors import CannotPack
from devicesdk.packing.samples import Named
from devicesdk.packing.study import Said, fit_inputs, study
from tests_kit import tensor_models as little


def found(model, samples, **said):
    return study(graph.load(model), samples, Said(**said))


def test_probabilities_are_classes():
    made = found(little.classifier(), little.pictures())
    assert (made.task.kind, made.task.postprocess) == ("classify", ())
    assert made.task.inputs == (TensorSpec(name="x", dtype="float32", shape=(1, 8, 8)),)
    assert any("--task says otherwise" in note for note in made.notes)


def test_logits_that_somebody_calls_classes_get_a_softmax():
    made = found(little.classifier(softmax=False), little.pictures(), kind="classify")
    assert made.task.postprocess == ("softmax",)
    assert all(abs(float(output.sum()) - 1) < 1e-5 for output in made.outputs)
    plain = found(little.classifier(softmax=False), little.pictures())
    assert plain.task.kind == "embed", "a row of numbers that nobody explained"


def test_rows_under_a_mask_are_averaged():
    made = found(little.embedder(), little.sentences(), kind="embed")
    assert made.task.postprocess == ("mean:mask",)
    assert {output.shape for output in made.outputs} == {(7,)}
    assert [spec.shape for spec in made.task.inputs] == [(0,), (0,)]
    assert found(little.embedder(), little.sentences()).task.kind == "tensor"


def test_one_number_is_asked_about():
    with pytest.raises(CannotPack, match=r"say --task classify .* --task regress"):
        found(little.regressor(), little.rows())
    made = found(little.regressor(), little.rows(), kind="regress")
    low, high = made.task.span.ends
    values = [float(output[0]) for output in made.outputs]
    assert low <= min(values)
    assert max(values) <= high
    assert high - low <= 1.01 * (max(values) - min(values))
    said = found(little.regressor(), little.rows(), kind="regress", span=(-2.0, 3.5))
    assert said.task.span.ends == pytest.approx((-2.0, 3.5))


def test_one_probability_becomes_two():
    made = found(little.regressor(), little.rows(), kind="classify")
    assert made.task.postprocess == ("sigmoid", "binary")


def test_samples_with_an_axis_of_one_or_of_another_width_are_taken():
    wide = [Named(s.name, s.frame[np.newaxis].astype(np.float64)) for s in little.pictures()]
    specs, samples = fit_inputs(graph.inputs_of(graph.load(little.classifier())), wide, ())
    assert specs[0].batched
    assert (samples[0]["x"].shape, samples[0]["x"].dtype) == ((1, 8, 8), np.float32)


def test_a_picture_is_never_turned_into_numbers_by_guessing():
    pictures = [Named(f"{i}.pgm", np.full((16, 16), 9 * i, np.uint8)) for i in range(9)]
    with pytest.raises(CannotPack, match="--preprocess luma601 area:8,8 channel div:255"):
        found(little.classifier(), pictures)
    before = ("luma601", "area:8,8", "channel", "div:255")
    assert found(little.classifier(), pictures, before=before).task.kind == "classify"


@pytest.mark.parametrize(
    ("model", "samples", "said", "story"),
    [
        (little.classifier(), little.pictures(), {"output": "z"}, "output out of .*'y'"),
        (little.classifier(), little.rows(), {}, r"float32 \(any, 1, 8, 8\) .* found float32 \(6,\)"),
        (little.classifier(), little.sentences(), {}, "tensors named .*'x'"),
        (little.embedder(), little.pictures(), {}, "2 inputs, so give an .npz"),
        (little.classifier(), little.pictures(), {"before": ("blur",)}, "newer device"),
        (little.classifier(), little.pictures(), {"after": ("top",)}, "out of"),
        (little.classifier(), little.pictures(), {"labels": ("a", "b")}, "as many labels as classes"),
        (little.embedder(), little.sentences(), {"kind": "embed", "after": ()}, "one size"),
        (little.classifier(), [Named("n", np.full((1, 8, 8), np.nan, np.float32))] * 3,
         {"kind": "classify"}, "not finite"),
        (little.embedder(), [Named("t", {"ids": np.zeros(3), "mask": np.ones(3)})] * 3, {}, "float64"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(model, samples, said, story):
    with pytest.raises(CannotPack, match=story):
        found(model, samples, **said)
