"""Train the two dial readers and write their float32 ONNX files.

Run from the checkout, in an environment with ``models/requirements.txt``::

    PYTHONPATH=. python models/train_gauge.py

1.0.0 learned in the workshop: good light, a clean lens, little blur. 1.1.0 learned in the field: dusk,
haze, defocus, reflections, and it has one hidden layer more. Same seeds, same machine, same torch:
the same files. `build_gauge.py` makes everything else of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from conditions import CONDITIONS, Darkroom, Pictures, Teaching, population
from graphs import Convolution, Dense, Net, model, multiplications
from torch import nn

LABELS = 32
TARGET_SIGMA_BINS = 0.6
BATCH = 256
TRUTH_SEED = 20260


class Recipe(NamedTuple):
    """One version's network and schooling."""

    version: str
    seed: int
    hidden: int
    pictures: int
    epochs: int
    teaching: Teaching


RECIPES = (
    Recipe("1.0.0", 11, 0, 3_000, 16, Teaching((0.5, 1.3), 0.10, 0.6, 0.0, 1.0)),
    Recipe("1.1.0", 12, 48, 60_000, 60, Teaching((0.05, 1.6), 0.60, 2.0, 0.25, 200.0)),
)


class Scale(nn.Module):
    """Whole numbers to about one; folded into the first weights on export."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Divide by 64."""
        return image / 64.0


def network(hidden: int) -> nn.Sequential:
    """Patches of 4 x 4, one 3 x 3 convolution, then dense layers."""
    head: list[nn.Module] = [nn.Linear(24 * 16, hidden), nn.ReLU()] if hidden else []
    return nn.Sequential(
        Scale(), nn.Conv2d(1, 16, 4, 4), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), *head, nn.Linear(hidden or 24 * 16, LABELS),
    )  # fmt: skip


def targets(values: np.ndarray) -> torch.Tensor:
    """Soft labels: a Gaussian of 0.6 bins around the needle, so the centre of mass reads between."""
    away = np.arange(LABELS)[None, :] - values[:, None] * (LABELS - 1)
    soft = np.exp(-0.5 * (away / TARGET_SIGMA_BINS) ** 2)
    return torch.from_numpy((soft / soft.sum(axis=1, keepdims=True)).astype(np.float32))


def train(recipe: Recipe) -> nn.Sequential:
    """Adam with a one-cycle rate; every epoch develops all pictures under new exposures."""
    torch.manual_seed(recipe.seed)
    net = network(recipe.hidden)
    room = Darkroom(recipe.teaching, seed=recipe.seed, count=recipe.pictures)
    goal = targets(room.values)
    steps = recipe.epochs * -(-recipe.pictures // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    for epoch in range(recipe.epochs):
        pixels = torch.from_numpy(room.epoch().pixels).reshape(-1, 1, 32, 32)
        total = 0.0
        for rows in torch.randperm(recipe.pictures).split(BATCH):
            loss = nn.functional.cross_entropy(net(pixels[rows]), goal[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            total += float(loss.detach()) * len(rows)
        if epoch % 5 == 4:
            print(
                f"{recipe.version} epoch {epoch + 1:3} loss {total / recipe.pictures:.4f}",
                flush=True,
            )
    return net.eval()


def export(net: nn.Sequential) -> Net:
    """Copy trained weights out of torch, with the input scale folded in."""
    layers = [layer for layer in net if isinstance(layer, nn.Conv2d | nn.Linear)]
    arrays = [
        (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
        for layer in layers
    ]
    (w0, b0), (w1, b1), *dense = arrays
    return Net(
        (Convolution(w0 / np.float32(64.0), b0, 4, 0), Convolution(w1, b1, 2, 1)),
        tuple(Dense(np.ascontiguousarray(w.T), b) for w, b in dense),
    )


def mean_error(net: nn.Sequential, pictures: Pictures) -> float:
    """Mean absolute error in percent of full scale (centre of mass of the five bins at the peak)."""
    with torch.no_grad():
        logits = net(torch.from_numpy(pictures.pixels).reshape(-1, 1, 32, 32))
    share = torch.softmax(logits, dim=1).numpy()
    near = np.abs(np.arange(LABELS)[None, :] - share.argmax(axis=1)[:, None]) <= 2
    peak = share * near
    reading = (peak @ np.arange(LABELS)) / peak.sum(axis=1) / (LABELS - 1)
    return float(100.0 * np.abs(reading - pictures.values).mean())


def main() -> None:
    """Train, print the errors, write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/gauge"))
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
        onnx.save(model(net, f"gauge-{recipe.version}"), target)
        print(f"{recipe.version}: {multiplications(net)} multiply-accumulates, {target}")
        for condition in CONDITIONS:
            pictures = population(condition, seed=TRUTH_SEED, devices=200, bursts=24)
            print(f"  {condition:24} {mean_error(trained, pictures):6.2f} % of full scale")


if __name__ == "__main__":
    main()
