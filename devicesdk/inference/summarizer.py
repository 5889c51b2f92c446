"""The note summarizer on a device: a verified model file in, summaries out.

Decides how the model's own vocabulary and both of its outputs are used together. Leaves out choosing
sentences (notes.py), verification (devicesdk/bundle) and telemetry (runner.py reads the same file for it).
"""

from __future__ import annotations

from devicesdk.inference.engine import Floats
from devicesdk.inference.notes import VOCABULARY_KEY, Ids, summarise
from devicesdk.inference.onnx import ModelError, metadata_of, open_session
from devicesdk.inference.wordpiece import VocabularyError, WordPiece


class Summarizer:
    """One session; `summarise` may be called from any thread.

    Args:
        model: the bytes of a ``notes`` bundle's model, verified.

    Raises:
        ModelError: not loadable, or not a summarizer's: it carries no vocabulary.
    """

    __slots__ = ("_session", "tokenizer")

    def __init__(self, model: bytes) -> None:
        self._session = open_session(model)
        try:
            self.tokenizer = WordPiece(metadata_of(self._session)[VOCABULARY_KEY])
        except (KeyError, VocabularyError) as error:
            raise ModelError(
                f"expected a summarizer's model, which carries its vocabulary, found: {error!r}; "
                "build it with models/build_notes.py"
            ) from error

    def summarise(self, note: str, sentences: int = 2) -> str:
        """The most telling sentences of a note, in their order; nothing else is ever said."""
        return summarise(note, self.tokenizer, self.run, sentences)

    def run(self, ids: Ids) -> tuple[Floats, Floats]:
        """From tokens (8, 24) to salience (8) and embeddings (8, 384)."""
        salience, embeddings = self._session.run(["salience", "embeddings"], {"ids": ids})
        return salience, embeddings
