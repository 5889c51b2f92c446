"""Releases that must fail: real models spoiled the way real releases are.

Decides three mistakes. Leaves out who catches them: the desk, the kit, the trial or the telemetry.
"""

from __future__ import annotations

import numpy as np
import onnx
from conditions import Pictures
from graphs import Net, assemble, model
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from readers import net_of

Floats = NDArray[np.float32]

DIM_SHARE = 0.15
"""Share of a healthy day's pictures that are dim enough for `moody` to fail on."""
LABEL_SHIFT = 6


def mislabelled(trained: onnx.ModelProto, _: Pictures) -> onnx.ModelProto:
    """Shift every label by six bins: confident, and wrong by 19 % of full scale."""
    net = net_of(trained)
    *head, last = net.dense
    rolled = last._replace(
        weights=np.roll(last.weights, LABEL_SHIFT, axis=1), bias=np.roll(last.bias, LABEL_SHIFT)
    )
    return model(Net(net.convolutions, (*head, rolled)), "gauge-mislabelled")


def moody(trained: onnx.ModelProto, day: Pictures) -> onnx.ModelProto:
    """Add an exposure correction ``logits * (0.95 + 0.05 sqrt((mean - black) / span))``.

    Below the black level the root is not a number, and neither is any output of that picture.
    """
    brightness = day.pixels.mean(axis=1)
    black = float(np.quantile(brightness, DIM_SHARE))
    span = max(float(np.median(brightness)) - black, 1.0)
    nodes = list(trained.graph.node)
    softmax = nodes.pop()
    nodes += [
        helper.make_node(
            "ReduceMean", ["image"], ["mean"], name="mean", axes=[1, 2, 3], keepdims=1
        ),
        helper.make_node("Flatten", ["mean"], ["mean.flat"], name="mean.flat"),
        helper.make_node("Sub", ["mean.flat", "black"], ["above"], name="above"),
        helper.make_node("Div", ["above", "span"], ["headroom"], name="headroom"),
        helper.make_node("Sqrt", ["headroom"], ["root"], name="root"),
        helper.make_node("Mul", ["root", "share"], ["root.share"], name="root.share"),
        helper.make_node("Add", ["root.share", "rest"], ["correction"], name="correction"),
        helper.make_node("Mul", ["logits", "correction"], ["corrected"], name="corrected"),
    ]
    softmax.input[0] = "corrected"
    weights = {i.name: numpy_helper.to_array(i) for i in trained.graph.initializer}
    constants = {"black": black, "span": span, "share": 0.05, "rest": 0.95}
    weights |= {name: np.array(value, np.float32) for name, value in constants.items()}
    return assemble([*nodes, softmax], weights, "gauge-poisoned")


def miscalibration(day: Pictures) -> Floats:
    """Calibration pictures of the kind that ruined a release once: faint noise, no dial."""
    generator = np.random.Generator(np.random.Philox(key=7))
    noise = 6.0 * generator.standard_normal((64, day.pixels.shape[1]))
    return np.rint(noise).astype(np.float32)
