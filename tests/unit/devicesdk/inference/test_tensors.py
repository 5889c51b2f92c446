"""Other people's models are fed and read."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from devicesdk.inference.onnx import ModelError, OnnxEngine, open_session
from devicesdk.inference.tasks import Task, TensorSpec
from devicesdk.inference.tensors import TensorEngine, as_sample
from tests_kit import tensor_models as little
from tests_kit.tensor_models import classify_task

SENTENCE = Task(
    kind="embed",
    inputs=tuple(TensorSpec(name=name, dtype="int64", shape=(0,)) for name in ("ids", "mask")),
    output="out",
    postprocess=("mean:mask",),
)
IDS = {"ids": np.array([3, 4, 5]), "mask": np.array([1, 1, 0])}


def test_a_classifier_says_probabilities_of_one_sample():
    task = classify_task()
    engine = TensorEngine(little.classifier(), task)
    sample = {"x": little.pictures(1)[0].frame}
    said = engine.run(sample)
    assert (said.shape, said.dtype) == ((little.CLASSES,), np.float32)
    assert said.sum() == pytest.approx(1)
    logits = TensorEngine(little.classifier(softmax=False), classify_task(postprocess=("softmax",)))
    assert np.allclose(logits.run(sample), said, atol=1e-6)


def test_several_inputs_of_a_free_length_are_pooled():
    engine = TensorEngine(little.embedder(), SENTENCE)
    raw = engine.run_raw(IDS)
    assert raw.shape == (3, 7)
    assert np.allclose(engine.run(IDS), raw[:2].mean(axis=0), atol=1e-6)


def test_a_model_without_an_axis_for_samples_is_fed_as_it_wants():
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    ins, outs = (
        little.value("x", TensorProto.FLOAT, [3, 2]),
        little.value("y", TensorProto.FLOAT, [3, 2]),
    )
    spec = TensorSpec(name="x", dtype="float32", shape=(3, 2), batched=False)
    task = Task(kind="embed", inputs=(spec,), output="y", output_batched=False)
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.array_equal(
        TensorEngine(little._model(nodes, [ins], [outs], {}), task).run({"x": x}), x
    )


@pytest.mark.parametrize(
    "task",
    [
        classify_task(output="z"),
        classify_task(inputs=(TensorSpec(name="y", dtype="float32", shape=(1, 8, 8)),)),
        classify_task(inputs=(TensorSpec(name="x", dtype="int64", shape=(1, 8, 8)),)),
    ],
)
def test_a_model_without_the_tasks_inputs_or_output_does_not_load(task):
    with pytest.raises(ModelError, match="expected a model with inputs"):
        TensorEngine(open_session(little.classifier()), task)


def test_a_sample_that_the_model_refuses_says_so():
    engine = TensorEngine(little.embedder(), SENTENCE)
    with pytest.raises(ModelError, match="expected the model to run"):
        engine.run({"ids": np.array([900]), "mask": np.array([1])})


def test_a_dial_reader_may_be_opened_before_it_is_known_to_be_one():
    with pytest.raises(ModelError, match="n, 32"):
        OnnxEngine(open_session(little.classifier()))


def test_a_frame_is_prepared_when_it_is_an_array_and_taken_when_it_is_named():
    task = classify_task()
    picture = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
    before = ("luma601", "area:8,8", "channel", "div:255")
    made = as_sample(picture, task, before)["x"]
    assert (made.shape, made.dtype) == ((1, 8, 8), np.float32)
    assert as_sample({"": made}, task, before)["x"] is made
    assert as_sample({"x": made}, task, before)["x"] is made


def test_a_frame_may_have_a_wider_type_or_an_axis_for_samples():
    task = classify_task()
    wide = np.ones((1, 1, 8, 8), dtype=np.float64)
    assert as_sample(wide, task, ())["x"].shape == (1, 8, 8)
    assert as_sample({"x": wide}, task, ())["x"].dtype == np.float32
    small = as_sample({"ids": np.array([1], np.int16), "mask": np.array([1])}, SENTENCE, ())
    assert small["ids"].dtype == np.int64


@pytest.mark.parametrize(
    ("frame", "task", "story"),
    [
        (np.zeros(3), SENTENCE, "tensors named"),
        ({"ids": IDS["ids"]}, SENTENCE, "'mask'"),
        ({**IDS, "more": IDS["ids"]}, SENTENCE, "more"),
        ({**IDS, "ids": np.array([0.5])}, SENTENCE, "int64"),
        (np.zeros((1, 8, 9)), classify_task(), "float32"),
        (np.zeros((2, 1, 8, 8)), classify_task(), "float32"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(frame, task, story):
    with pytest.raises(ValueError, match=story):
        as_sample(frame, task, ())
