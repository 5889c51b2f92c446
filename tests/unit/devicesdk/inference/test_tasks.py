"""What outputs mean, task by task."""

import msgspec
import numpy as np
import pytest

from devicesdk.inference.tasks import (
    NOTHING,
    Span,
    Task,
    distance_permille,
    interpret,
    margin,
)
from tests_kit.tensor_models import classify_task

SPAN = Span(low=-20, high=20, exponent=-1)
CLASSIFY = classify_task()
REGRESS = classify_task(kind="regress", span=SPAN)
EMBED = classify_task(kind="embed")
TENSOR = classify_task(kind="tensor", span=SPAN)


def told(task, *values):
    said = interpret(task, np.array(values, dtype=np.float64))
    return (said.reading, said.label, said.confidence, said.entropy, said.finite)


def test_classes_are_read_by_the_most_probable_one():
    assert told(CLASSIFY, 0.0, 0.0, 1.0, 0.0, 0.0) == (500, 2, 1000, 0, True)
    assert told(CLASSIFY, 0.25, 0.25, 0.25, 0.25) == (0, 0, 250, 1000, True)
    assert told(CLASSIFY, 1.0) == (0, 0, 1000, 0, True)


def test_a_value_is_read_over_its_span():
    assert told(REGRESS, 0.0) == (500, -1, 1000, 0, True)
    assert told(REGRESS, 2.0) == (1000, -1, 500, 0, True)
    assert told(REGRESS, 99.0) == (1000, -1, 0, 0, True)
    assert told(REGRESS, -1.0, 7.0) == (250, -1, 750, 0, True)


def test_an_embedding_by_its_strongest_component():
    sure, spread = np.zeros(9), np.ones(9)
    sure[4] = -3.0
    assert told(EMBED, *sure) == (500, 4, 1000, 0, True)
    assert told(EMBED, *spread) == (0, 0, 111, 1000, True)
    assert told(EMBED, 0.0, 0.0)[4]


def test_a_tensor_by_its_mean_and_the_share_inside_its_span():
    assert told(TENSOR, 1.0, 1.0, 1.0, 5.0)[:3] == (1000, -1, 750)
    assert told(TENSOR, 0.0, 0.0)[:3] == (500, -1, 1000)


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS, EMBED, TENSOR])
@pytest.mark.parametrize("values", [(), (np.nan, 1.0), (np.inf,)])
def test_what_is_not_finite_says_nothing(task, values):
    assert interpret(task, np.array(values)) == NOTHING


def away(task, output, golden):
    return distance_permille(task, np.array(output, float), np.array(golden, float))


def test_distances_are_in_the_measure_of_the_task():
    assert away(CLASSIFY, [0.9, 0.1], [1.0, 0.0]) == pytest.approx(100)
    assert away(REGRESS, [0.4], [0.0]) == pytest.approx(100)
    assert away(TENSOR, [0.0, -2.0], [0.0, 2.0]) == 1000
    assert away(EMBED, [1.0, 0.0], [7.0, 0.0]) == pytest.approx(0)
    assert away(EMBED, [1.0, 0.0], [0.0, 1.0]) == pytest.approx(1000)
    assert away(EMBED, [0.0, 0.0], [0.0, 0.0]) == 0
    assert away(EMBED, [0.0, 0.0], [0.0, 1.0]) == 1000


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS, EMBED, TENSOR])
def test_other_shapes_and_no_numbers_are_as_far_as_it_gets(task):
    assert away(task, [1.0], [1.0, 2.0]) == 1000
    assert away(task, [np.nan, 1.0], [1.0, 1.0]) == 1000
    assert away(task, [], []) == 1000


def test_a_margin_is_small_where_a_fault_shows_first():
    assert margin(CLASSIFY, np.array([0.5, 0.4, 0.1])) == pytest.approx(0.1)
    assert margin(TENSOR, np.array([-9.0, 1.0])) < margin(TENSOR, np.array([2.0]))


@pytest.mark.parametrize(
    ("change", "story"),
    [
        ({"kind": "regress"}, "expected a span"),
        ({"kind": "tensor"}, "expected a span"),
        ({"kind": "guess"}, "guess"),
        ({"units": [0]}, "8 units"),
        ({"inputs": []}, "length"),
        ({"inputs": [{"name": "x", "dtype": "text", "shape": []}]}, "text"),
        ({"inputs": 2 * [{"name": "x", "dtype": "int8", "shape": []}]}, "different names"),
        ({"span": {"low": 3, "high": 3}}, "rises"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_task_that_is_none_says_why(change, story):
    document = {**msgspec.to_builtins(CLASSIFY), **change}
    with pytest.raises(msgspec.ValidationError, match=story):
        msgspec.convert(document, Task)


def test_a_task_comes_back_from_json():
    for task in (CLASSIFY, REGRESS, EMBED, TENSOR):
        assert msgspec.json.decode(msgspec.json.encode(task), type=Task) == task
