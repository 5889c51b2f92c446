"""Train the head of the keyword spotter on synthetic commands and write ``words/head.onnx``.

Run from the checkout, in an environment with ``models/requirements.txt`` and ``livekit-wakeword``::

    PYTHONPATH=. python models/train_words.py

Decides schooling and testing: the voices of the training set, of the test set and of the simulated
fleet are three different draws. Half of the clips labelled "none" are road noise, half are babble
(letters in random order, the same voices). Leaves out the other two stages (spoken.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
from graphs import Dense
from numpy.typing import NDArray
from spoken import EMBEDDING, compose, head_model
from torch import nn

from devicesdk.inference import words
from devicesdk.inference.onnx import session_options

Floats = NDArray[np.float32]

TRAIN_SEED: Final = 41
TEST_SEED: Final = 42
HIDDEN: Final = 24
VOICES: Final = 160
TEST_VOICES: Final = 30


class Lesson(NamedTuple):
    """Clips and their labels."""

    audio: NDArray[np.int16]
    labels: NDArray[np.int64]


class Setting(NamedTuple):
    """Where commands are spoken."""

    loudness: tuple[float, float]
    """Root mean square of the speech, drawn evenly in its logarithm."""
    noise: tuple[float, float]
    muffled: int
    """Levels of a covered microphone, drawn evenly from 0 to before this."""


CABIN: Final = Setting((250.0, 5000.0), (20.0, 900.0), 3)
SETTINGS: Final = {
    "baseline": Setting((1500.0, 3500.0), (60.0, 250.0), 1),
    "quiet speaker": Setting((200.0, 500.0), (60.0, 250.0), 1),
    "road noise": Setting((1500.0, 3500.0), (1200.0, 2400.0), 1),
    "covered microphone": Setting((1500.0, 3500.0), (60.0, 250.0), 4),
}


def lesson(setting: Setting, *, seed: int, voices: int) -> Lesson:
    """Record two clips of every command by every voice, and twice as many that are none."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    speakers = words.draw_speakers(rng, voices)
    noises = words.road_noise(rng, 64)
    audio, labels = [], []
    for who in range(voices):
        for label in (*range(len(words.LABELS)), 0, 0, 0):
            word = words.LABELS[label]
            if label == 0 and rng.uniform() < 0.5:
                letters = [words.LETTERS[i] for i in rng.integers(0, len(words.LETTERS), 7)]
                word = " ".join(letters)
            clip = words.say(word, speakers, who)
            level = int(rng.integers(0, setting.muffled))
            if level:
                clip = words.low_pass(clip[None, :], words.MUFFLED_HZ[level])[0]
            audio.append(_mix(clip, noises[rng.integers(0, 64)], setting, rng))
            labels.append(label)
    return Lesson(np.stack(audio), np.array(labels, dtype=np.int64))


def _mix(
    clip: Floats, noise: Floats, setting: Setting, rng: np.random.Generator
) -> NDArray[np.int16]:
    loud, hum = (np.exp(rng.uniform(*np.log(span))) for span in (setting.loudness, setting.noise))
    late = np.roll(clip, int(rng.integers(-1600, 1601)))
    mixed = late * np.float32(loud) + noise * np.float32(hum)
    return np.rint(np.clip(mixed, -words.FULL_SCALE, words.FULL_SCALE)).astype(np.int16)


def embed(audio: NDArray[np.int16]) -> Floats:
    """The embeddings of clips, shape (n, 96)."""
    session = ort.InferenceSession(
        compose(None).SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    parts = [session.run(None, {"audio": audio[i : i + 32]})[0] for i in range(0, len(audio), 32)]
    return np.concatenate(parts)


def train(embeddings: Floats, labels: NDArray[np.int64]) -> tuple[Dense, ...]:
    """Two dense layers by Adam; inputs are scaled by their deviation, folded in afterwards."""
    torch.manual_seed(TRAIN_SEED)
    scale = np.float32(embeddings.std())
    net = nn.Sequential(
        nn.Linear(EMBEDDING, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, len(words.LABELS))
    )
    inputs, goal = torch.from_numpy(embeddings / scale), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2)
    for _ in range(60):
        for rows in torch.randperm(len(goal)).split(128):
            noisy = inputs[rows] + 0.05 * torch.randn(len(rows), EMBEDDING)
            loss = nn.functional.cross_entropy(net(noisy), goal[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    first, last = (layer for layer in net if isinstance(layer, nn.Linear))
    pairs = [(p.weight.detach().numpy().T, p.bias.detach().numpy()) for p in (first, last)]
    return Dense(pairs[0][0] / scale, pairs[0][1]), Dense(*pairs[1])


def judge(head: tuple[Dense, ...], setting: Setting) -> dict[str, float]:
    """Accuracy, commands missed or mistaken, and clips without one that raise one; percent."""
    test = lesson(setting, seed=TEST_SEED, voices=TEST_VOICES)
    hidden = np.maximum(embed(test.audio) @ head[0].weights + head[0].bias, 0.0)
    found = (hidden @ head[1].weights + head[1].bias).argmax(axis=1)
    spoken = test.labels > 0
    return {
        "accuracy_percent": round(100.0 * float((found == test.labels).mean()), 2),
        "missed_percent": round(100.0 * float((found != test.labels)[spoken].mean()), 2),
        "false_accept_percent": round(100.0 * float((found > 0)[~spoken].mean()), 2),
    }


def main() -> None:
    """Train, print how well it does, write the head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/words/head.onnx"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    school = lesson(CABIN, seed=TRAIN_SEED, voices=VOICES)
    head = train(embed(school.audio), school.labels)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(head_model(head), arguments.out)
    for name, setting in SETTINGS.items():
        print(name, judge(head, setting))


if __name__ == "__main__":
    main()
