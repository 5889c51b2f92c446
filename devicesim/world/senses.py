"""What the devices of a world sense, by the bundle that they run, and how a model reads it.

Decides which data stream and which kind of work belong to a bundle: dials, roads, commands, notes.
Leaves out when work is done and in which batches over the fleet (inference.py), and what is sensed
(devicesim/models).

The kind is the bundle's id: ``lane`` looks at roads, ``keyword`` hears commands, ``notes`` reads notes, and
every other reader of dials looks at a gauge. A device senses one kind for life, that of the bundle it
left the factory with; a rollout that brings it another kind is an error of its author and is told so.

Rules: a row depends on its frame alone and never on its neighbours; work of one kind opens what it needs
at its first run, so that a fleet of gauges pays for gauges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
from onnxruntime import InferenceSession

from devicesdk.inference import dials, engine, kit, preprocess, words
from devicesdk.inference.engine import Engine, Floats, Rows
from devicesdk.inference.kit import KitOutcome
from devicesdk.inference.notes import VOCABULARY_KEY
from devicesdk.inference.onnx import OnnxEngine, metadata_of, open_session
from devicesdk.inference.reduce import reduced
from devicesdk.inference.rule import DialRule
from devicesdk.inference.source import BundleSource, TensorSource
from devicesdk.inference.summary import row_of
from devicesdk.inference.tasks import Sample, interpret
from devicesdk.inference.tensor_kit import run_tensor_kit
from devicesdk.inference.tensors import TensorEngine
from devicesdk.inference.wordpiece import WordPiece
from devicesim.entropy import Entropy
from devicesim.models import datastream, notestream, roadstream, wordstream
from devicesim.models.datastream import Condition, FrameSpec, GaugeStream, Sun
from devicesim.models.notestream import NoteSpec, NoteStream
from devicesim.models.roadstream import RoadSpec, RoadStream
from devicesim.models.wordstream import WordSpec, WordStream

AnySource: TypeAlias = BundleSource | TensorSource
AnySpec: TypeAlias = FrameSpec | RoadSpec | WordSpec | NoteSpec
"""A burst, described; its first number is how many frames it has."""

BATCH_FRAMES: Final = 256
REMEMBERED_MAX: Final = 4096
"""Answers kept of a model whose inputs repeat; all are forgotten when there are more."""


class DataStream(Protocol):
    """What one device senses."""

    def burst(self, now: int, frames: int, period_ns: int) -> AnySpec:
        """Describe `frames` frames, one every `period_ns`, the first at `now`."""
        ...

    def apply(self, condition: Condition, amount: float, now: int) -> int:
        """Begin a data fault; returns a token for `undo`."""
        ...

    def undo(self, token: int) -> None:
        """End the fault of this token."""
        ...


class Done(NamedTuple):
    """Results of many bursts that ran together."""

    rows: Rows
    truth: Floats
    """What a perfect reader would say of each frame, 0 .. 1."""
    batches: int


class Work(Protocol):
    """One model on one kernel class, opened."""

    def run(self, specs: Sequence[Any], counts: Sequence[int]) -> Done:
        """Draw the first `counts` frames of each burst and run them."""
        ...

    def judge(self) -> KitOutcome:
        """Run the validation kit."""
        ...

    def reduced(self, side: int) -> Work:
        """The same model on pictures of `side` pixels a side; itself where there are no pictures."""
        ...

    def outputs(self, pixels: Floats) -> Floats:
        """What the model says of prepared pictures, shape (n, 1024); nothing where it reads none."""
        ...


class Sense(NamedTuple):
    """One kind."""

    stream: Callable[[Entropy, str, Sun], DataStream]
    spec: type[Any]
    work: Callable[[Any, str, bytes], Work]


def kind_of(bundle_id: str) -> str:
    """Which kind a bundle senses."""
    return bundle_id if bundle_id in SENSES else GAUGE


def check_specs(source: AnySource, specs: Sequence[AnySpec]) -> None:
    """Check that a model was handed what it reads.

    Raises:
        ValueError: its device senses something else.
    """
    wanted = SENSES[kind_of(source.spec.id)].spec
    if {*map(type, specs)} == {wanted}:
        return
    stranger = next(type(spec) for spec in specs if type(spec) is not wanted)
    found = next(name for name, sense in SENSES.items() if stranger is sense.spec)
    raise ValueError(
        f"expected devices that run bundle {source.spec.id} to have left the factory with one that "
        f"senses the same, found a device that senses {found!r}; give its group a bundle of id "
        f"{source.spec.id}, or take it out of the rollout's target"
    )


def pictures(spec: AnySpec, frames: int, side: int = 0) -> Floats:
    """The model's input for the first frames of a burst, shape (frames, 1024).

    Raises:
        TypeError: what it describes are no pictures.
    """
    images = np.empty((frames, dials.PIXELS), dtype=np.float32)
    scratch = np.empty_like(images)
    if isinstance(spec, FrameSpec):
        drawn = datastream.render(datastream.expand([spec], [frames]), images, scratch)
    elif isinstance(spec, RoadSpec):
        drawn = roadstream.render(roadstream.expand([spec], [frames]), scratch)
    else:
        raise TypeError(f"expected pictures to prepare, found a {type(spec).__name__}")
    return reduced(drawn, side)


class PictureWork:
    """Dials and roads: one batch is a dozen passes of numpy and one call of the session."""

    __slots__ = (
        "_draw", "_engine", "_images", "_lay_out", "_name", "_scratch", "_side", "_source",
    )  # fmt: skip

    def __init__(
        self,
        source: BundleSource,
        name: str,
        model: bytes,
        lay_out: Callable[..., Any],
        draw: Callable[[Any, Floats, Floats], Floats],
    ) -> None:
        self._source, self._name, self._side = source, name, 0
        self._engine: Engine = OnnxEngine(model) if model else DialRule()
        self._lay_out, self._draw = lay_out, draw
        self._images: Floats = np.empty((BATCH_FRAMES, dials.PIXELS), dtype=np.float32)
        self._scratch: Floats = np.empty_like(self._images)

    def run(self, specs: Sequence[Any], counts: Sequence[int]) -> Done:
        """Draw and run; see `Work.run`."""
        frames = self._lay_out(specs, counts)
        total = len(frames.values)
        rows: Rows = np.empty((total, engine.COLUMNS), dtype=np.int16)
        run, edges, draw = self._engine.run, self._source.spec.edges, self._draw
        batches = 0
        for start in range(0, total, BATCH_FRAMES):
            images = draw(frames.window(start, start + BATCH_FRAMES), self._images, self._scratch)
            if self._side:
                images = reduced(images, self._side)
            rows[start : start + len(images)] = preprocess.quantise(images, run(images), edges).rows
            batches += 1
        return Done(rows, frames.values, batches)

    def judge(self) -> KitOutcome:
        """Run the validation kit; see `Work.judge`."""
        source = self._source
        return kit.run_kit(source.kit, source.spec.kit.rule, self._name, self._engine)

    def reduced(self, side: int) -> PictureWork:
        """A twin that shares session and scratch space; see `Work.reduced`."""
        twin = copy(self)
        twin._side = side  # noqa: SLF001 - of this very class
        return twin

    def outputs(self, pixels: Floats) -> Floats:
        """Run prepared pictures; see `Work.outputs`."""
        return self._engine.run(pixels)


class TensorWork:
    """Commands and notes: one sample at a time, by the task that the bundle pins.

    Args:
        source: the bundle.
        name: the variant.
        model: its file, or opened.
        make: makes the samples of bursts, with the truth of each.
        remembered_max: how many answers to keep, for kinds whose samples repeat; 0: none.
    """

    __slots__ = ("_engine", "_make", "_name", "_remembered", "_remembered_max", "_source")

    def __init__(
        self,
        source: TensorSource,
        name: str,
        model: bytes | InferenceSession,
        make: Callable[[Sequence[Any], Sequence[int]], tuple[list[Sample], Floats]],
        remembered_max: int = 0,
    ) -> None:
        self._source, self._name, self._make = source, name, make
        self._engine = TensorEngine(model, source.task)
        self._remembered: dict[bytes, list[int]] = {}
        self._remembered_max = remembered_max

    def run(self, specs: Sequence[Any], counts: Sequence[int]) -> Done:
        """Make samples and run them; see `Work.run`."""
        samples, truth = self._make(specs, counts)
        rows: Rows = np.array([self._row(sample) for sample in samples], dtype=np.int16)
        return Done(rows, truth, len(samples))

    def judge(self) -> KitOutcome:
        """Run the validation kit; see `Work.judge`."""
        source = self._source
        rule = source.spec.kit.rule
        return run_tensor_kit(source.kit, rule, source.task, self._name, self._engine.run)

    def reduced(self, side: int) -> TensorWork:
        """Itself: shapes are pinned."""
        del side
        return self

    def outputs(self, pixels: Floats) -> Floats:
        """Nothing: a task's input is no picture."""
        return pixels[:0]

    def _row(self, sample: Sample) -> list[int]:
        if not self._remembered_max:
            return self._read(sample)
        key = b"".join(tensor.tobytes() for tensor in sample.values())
        row = self._remembered.get(key)
        if row is None:
            if len(self._remembered) >= self._remembered_max:
                self._remembered.clear()
            row = self._remembered[key] = self._read(sample)
        return row

    def _read(self, sample: Sample) -> list[int]:
        task = self._source.task
        said = interpret(task, self._engine.run(sample).astype(np.float64))
        made = row_of(task, self._source.spec.edges, sample, said)
        # The pool keeps the label as well, in the columns of `engine`.
        return [made[0], said.label, made[1], made[2], made[-1], *made[3:-1]]


def _hear(specs: Sequence[WordSpec], counts: Sequence[int]) -> tuple[list[Sample], Floats]:
    heard = wordstream.expand(specs, counts)
    samples: list[Sample] = []
    for start in range(0, len(heard.values), BATCH_FRAMES):
        sound = words.record(heard.window(start, start + BATCH_FRAMES).clips)
        samples += [{"audio": clip} for clip in sound]
    return samples, heard.values


def _note_work(source: TensorSource, name: str, model: bytes) -> Work:
    session = open_session(model)
    pages = notestream.Pages(WordPiece(metadata_of(session)[VOCABULARY_KEY]))
    return TensorWork(source, name, session, pages.samples, REMEMBERED_MAX)


GAUGE: Final = "gauge"
SENSES: Final[dict[str, Sense]] = {
    GAUGE: Sense(
        GaugeStream, FrameSpec,
        lambda source, name, model: PictureWork(
            source, name, model, datastream.expand, datastream.render
        ),
    ),
    "lane": Sense(
        RoadStream, RoadSpec,
        lambda source, name, model: PictureWork(
            source, name, model, roadstream.expand,
            lambda frames, images, scratch: roadstream.render(frames, scratch),  # noqa: ARG005
        ),
    ),
    "keyword": Sense(
        lambda entropy, device, sun: WordStream(entropy, device),  # noqa: ARG005
        WordSpec,
        lambda source, name, model: TensorWork(source, name, model, _hear),
    ),
    "notes": Sense(
        lambda entropy, device, sun: NoteStream(entropy, device),  # noqa: ARG005
        NoteSpec,
        _note_work,
    ),
}  # fmt: skip
