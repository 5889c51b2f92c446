"""Notes to their most telling sentences: pages of tokens in, a choice of sentences out.

Decides how a note becomes the model's input and which of its sentences are kept: those most like the
whole note and least like each other (maximal marginal relevance, Carbonell and Goldstein 1998, SIGIR,
doi:10.1145/290941.291025). Leaves out the sentence model and where notes come from.

The model maps ``ids`` (8 sentences x 24 tokens) to ``salience`` (8): a softmax of each sentence's likeness
to the mean of all, and to ``embeddings`` (8, 384), which only `summarise` looks at: telemetry sees the
salience's confidence and entropy, never a word.

Rules: nothing is written that did not stand in the note; a note has at most 8 sentences, the rest is not
read, and `Page.left_out` says how many.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from devicesdk.inference.engine import Floats
from devicesdk.inference.wordpiece import WordPiece

Ids: TypeAlias = NDArray[np.int32]

SENTENCES_MAX: Final = 8
TOKENS_MAX: Final = 24
VOCABULARY_KEY: Final = "fleetdrill.vocabulary"
"""Of the model's `metadata_props`: pre-processing is pinned with the model that was schooled with it."""
DIVERSITY: Final = 0.2
"""How much likeness to what was chosen already counts against a sentence. Chosen on simulated notes: with
more, summaries begin to leave the matter for the sake of variety."""

_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?]*")


class Page(NamedTuple):
    """A note, ready."""

    sentences: tuple[str, ...]
    ids: Ids
    """Shape (8, 24); rows of padding behind the last sentence."""
    left_out: int
    """Sentences that were not read."""


def split(note: str) -> list[str]:
    """The sentences of a note."""
    return [found for part in _SENTENCE.findall(note) if (found := part.strip())]


def page(note: str, tokenizer: WordPiece) -> Page:
    """Turn a note into model input."""
    found = split(note)
    kept = found[:SENTENCES_MAX]
    ids = np.full((SENTENCES_MAX, TOKENS_MAX), tokenizer.pad, dtype=np.int32)
    for row, sentence in enumerate(kept):
        ids[row] = tokenizer.encode(sentence, TOKENS_MAX)
    return Page(tuple(kept), ids, len(found) - len(kept))


def choose(
    embeddings: Floats,
    salience: Floats,
    sentences: int,
    wanted: int,
    diversity: float = DIVERSITY,
) -> list[int]:
    """Choose up to `wanted` of the first `sentences`, in the order of the note.

    Args:
        embeddings: of unit length, shape (8, d).
        salience: shape (8,).
        sentences: how many there are.
        wanted: how many to keep.
        diversity: 0: the most telling, however alike; 1: the least alike.
    """
    centre = embeddings[:sentences].mean(axis=0)
    relevance = embeddings[:sentences] @ centre / max(float(np.linalg.norm(centre)), 1e-9)
    chosen = [int(salience[:sentences].argmax())] if sentences and wanted else []
    while len(chosen) < min(wanted, sentences):
        repeats = (embeddings[:sentences] @ embeddings[chosen].T).max(axis=1)
        worth = (1.0 - diversity) * relevance - diversity * repeats
        worth[chosen] = -np.inf
        chosen.append(int(worth.argmax()))
    return sorted(chosen)


def summarise(
    note: str, tokenizer: WordPiece, run: Callable[[Ids], tuple[Floats, Floats]], wanted: int = 2
) -> str:
    """The most telling sentences of a note.

    Args:
        note: text.
        tokenizer: of the model.
        run: from ids to salience and embeddings.
        wanted: how many sentences to keep.
    """
    ready = page(note, tokenizer)
    if not ready.sentences:
        return ""
    salience, embeddings = run(ready.ids)
    chosen = choose(embeddings, salience, len(ready.sentences), wanted)
    return " ".join(ready.sentences[index] for index in chosen)
