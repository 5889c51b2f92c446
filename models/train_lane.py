"""Train the two lane readers of the driver-assist blueprint and write their float32 ONNX files.

Run from the checkout, in an environment with ``models/requirements.txt``::

    PYTHONPATH=. python models/train_lane.py

1.0.0 learned by day on dry roads. 1.1.0 learned in all weathers. Same seeds, same machine, same torch:
the same files. `build_driver_assist.py` makes everything else of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from graphs import Convolution, Dense, Net, model, multiplications
from road_pictures import CONDITIONS, Roadworks, School, population
from torch import nn
from train_gauge import BATCH, LABELS, TRUTH_SEED, Scale, mean_error, targets


class Recipe(NamedTuple):
    """One version's schooling."""

    version: str
    seed: int
    pictures: int
    epochs: int
    school: School


RECIPES = (
    Recipe("1.0.0", 21, 12_000, 14, School((0.4, 1.4), 0.15, 0.4, 0.0, 0.0)),
    Recipe("1.1.0", 22, 48_000, 32, School((0.08, 1.5), 0.45, 0.6, 0.5, 0.5)),
)
LAYERS = ((20, 4, 4, 0), (28, 3, 2, 1), (24, 3, 2, 1))
"""Filters, kernel, stride, padding."""


def network() -> nn.Sequential:
    """Patches of 4 x 4, two 3 x 3 convolutions, one dense layer."""
    layers: list[nn.Module] = [Scale()]
    channels = 1
    for filters, kernel, stride, pad in LAYERS:
        layers += [nn.Conv2d(channels, filters, kernel, stride, pad), nn.ReLU()]
        channels = filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 4, LABELS))


def train(recipe: Recipe) -> nn.Sequential:
    """Adam with a one-cycle rate; every epoch develops all pictures under new exposures."""
    torch.manual_seed(recipe.seed)
    net = network()
    works = Roadworks(recipe.school, seed=recipe.seed, count=recipe.pictures)
    goal = targets(works.values)
    steps = recipe.epochs * -(-recipe.pictures // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    for epoch in range(recipe.epochs):
        pixels = torch.from_numpy(works.epoch().pixels).reshape(-1, 1, 32, 32)
        total = 0.0
        for rows in torch.randperm(recipe.pictures).split(BATCH):
            loss = nn.functional.cross_entropy(net(pixels[rows]), goal[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            total += float(loss.detach()) * len(rows)
        if epoch % 4 == 3:
            print(f"{recipe.version} epoch {epoch + 1:3} loss {total / recipe.pictures:.4f}")
    return net.eval()


def export(net: nn.Sequential) -> Net:
    """Copy trained weights out of torch, with the input scale folded in."""
    arrays = [
        (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
        for layer in net
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    arrays[0] = (arrays[0][0] / np.float32(64.0), arrays[0][1])
    convolutions = tuple(
        Convolution(*pair, stride, pad)
        for pair, (_, _, stride, pad) in zip(arrays, LAYERS, strict=False)
    )
    weights, bias = arrays[-1]
    return Net(convolutions, (Dense(np.ascontiguousarray(weights.T), bias),))


def main() -> None:
    """Train, print the errors, write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/lane"))
    parser.add_argument("--only", help="one version")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for recipe in RECIPES:
        if arguments.only and arguments.only != recipe.version:
            continue
        trained = train(recipe)
        net = export(trained)
        target = arguments.out / recipe.version / "fp32.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model(net, f"lane-{recipe.version}"), target)
        print(f"{recipe.version}: {multiplications(net)} multiply-accumulates, {target}")
        for condition in CONDITIONS:
            pictures = population(condition, seed=TRUTH_SEED, devices=100, bursts=24)
            print(f"  {condition:24} {mean_error(trained, pictures):6.2f} % of the range")


if __name__ == "__main__":
    main()
