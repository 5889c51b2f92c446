"""Where nodes come from: rows of the trace, and moments that the trace does not tell.

Decides what is worth a node. The rows are read as they are written, the rest is a watcher's, and what the
device cannot know (its path goes dark) is told by the path itself. Leaves out how causes are passed on
(book.py).

Rule: nothing here changes anything of the world; a run that is watched has the digest of one that is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from devicesdk.agent import stimuli as hear
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.topics import CTL, DEVICE_KINDS, WANT
from devicesim.world.causes.book import NOTHING, CauseBook
from devicesim.world.path import Path
from devicesim.world.trace import GATEWAY
from devicesim.world.virtual_stage import VirtualStage
from devicesim.world.watch import Watcher
from gateway.core import notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.device_parts import Parts, Workshop
    from devicesim.world.world import World
    from gateway.core import effects as gw

DARK, CLEAR, ATTEMPT, RUNS, TAKEN_DOWN = "path dark", "path clear", "attempt", "runs", "path reset"
HEARD: Final = "heard"
EVERYDAY: Final = frozenset(
    {
        "acknowledged", "deadline", "frames ran", "frames taken", "conditions", "file read", "file hashed", "probe ran",
        "subscribed", "collect.window_closed", "collect.judged", "alarm_on", "alarm_off", "last_known", "bad topic",
        NoteKind.ONLINE, NoteKind.IGNORED, NoteKind.ROUND_LOST, NoteKind.DEFERRED, NoteKind.ASKED,
        NoteKind.ANSWERED, NoteKind.RECALIBRATED, NoteKind.RULE_CHOSEN, NoteKind.WANT_OLD, NoteKind.KILL_OLD,
        NoteKind.FLAGS_OLD, notes.ALARM, notes.QUERY, notes.REPUBLISH,
    }
)  # fmt: skip
"""Kinds of rows that get no node and pass their cause on. Membership only."""
_STATE: Final = frozenset({WANT, CTL})
_RANKS: Final = ("rollout.", "wave.", "gate.")
"""Notes of the gateway about a rollout: their subject begins with its name."""
_BY_THE_CLOCK: Final = frozenset(
    {notes.WAVE_OPENED, notes.WAVE_PASSED, notes.WAVE_SILENT, notes.ROLLOUT_COMPLETED}
)
"""Those that go on from the last one about the same rollout, whatever woke the gateway."""


class Eyes(Watcher):
    """Fills a book while a world runs.

    Args:
        world: assembled, not run yet, on a kernel and a stage that know the book.
        book: to be filled.
    """

    def __init__(self, world: World, book: CauseBook) -> None:
        self.book = book
        self._world = world
        self._reason = ""
        self._told: dict[str, int] = {}
        self._kept: dict[int, str] = {}
        self._tap(world)
        self._listen(world)
        world.watch.add(self)

    # -- rows of the trace ----------------------------------------------------------------------

    def _tap(self, world: World) -> None:
        """Look at each row as it is written; nobody holds the writing end before the world runs."""
        trace, write, saw = world.trace, world.trace.extend, self._saw

        def extend(row: Sequence[int]) -> None:
            write(row)
            saw(row)

        trace.extend = extend  # type: ignore[assignment]

    def _listen(self, world: World) -> None:
        """Keep the reasons that the trace leaves out."""
        if not world.hosts:
            return
        rows = world.hosts[0].shop.stimulus_rows
        for kind in (hear.ConnectFailed, hear.Disconnected):
            rows[kind] = (rows[kind][0], self._hear)

    def _hear(self, stimulus: Any) -> int:
        self._reason = stimulus.reason
        return 0

    def _saw(self, row: Sequence[int]) -> None:
        now, actor, code, a, b = row
        kind = self._kept.get(code)
        if kind is None:
            name = self._world.trace.vocabulary.names[code]
            kind = self._kept[code] = "" if name in EVERYDAY else name
        if not kind:
            return
        words, self._reason = self._reason, ""
        if kind == "arrived":
            said = DEVICE_KINDS[a] if a >= 0 else "order to everybody"
            if a >= 0 and said not in _STATE:
                return
            kind, words = HEARD, said
        elif actor < 0 and kind.startswith(_RANKS):
            return  # told by `gateway_noted`, which knows which rollout it is
        self.book.add(now, actor, kind, a, b, words)

    # -- moments --------------------------------------------------------------------------------

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """A note of the gateway has a subject, which its row has not."""
        if effect.kind in EVERYDAY:
            return
        book, kind = self.book, effect.kind
        if not kind.startswith(_RANKS):
            book.say(book.here, effect.subject)
            return
        rollout = effect.subject.partition(":")[0]
        cause = book.cause_of(GATEWAY)
        if kind in _BY_THE_CLOCK:
            cause = self._told.get(rollout, cause)
        self._told[rollout] = book.add_after(
            cause, now, GATEWAY, kind, effect.a, effect.b, effect.subject
        )

    def attempted(self, host: DeviceHost, now: int) -> None:
        """A device tries to connect."""
        self.book.add(now, host.index, ATTEMPT)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """A device runs something else."""
        bundle = self._world.bundles.get(effect.manifest)
        name = bundle.name if bundle is not None else "nothing"
        self.book.add(now, host.index, RUNS, words=f"{name} from slot {effect.slot or 'none'}")


class TellingPath(Path):
    """A path that says when it goes dark, which no device can know."""

    __slots__ = ("book",)

    def __init__(self, book: CauseBook, *arguments: Any) -> None:
        self.book = book
        super().__init__(*arguments)

    def refresh(self, now: int) -> None:
        """Apply the overlay and the link; a path that is dark already may be so for a new reason."""
        before, was_black = self._why(), self.black
        super().refresh(now)
        why = self._why()
        if was_black and self.black and why != before:
            self.book.add(now, self._index, DARK, words=why)

    def _why(self) -> str:
        return "packets vanish" if self.overlay.black else "no carrier"

    def _carrier_changes(self, now: int) -> None:
        self.book.begin(NOTHING)  # the link's own doing: the seed's luck
        super()._carrier_changes(now)

    def _goes_black(self, now: int) -> None:
        self.book.add(now, self._index, DARK, words=self._why())
        super()._goes_black(now)

    def _clears(self, now: int) -> None:
        self.book.add(now, self._index, CLEAR)
        super()._clears(now)

    def _is_reset(self, now: int) -> None:
        if self.connection is not None:
            self.book.add(now, self._index, TAKEN_DOWN)
        super()._is_reset(now)

    @property
    def _index(self) -> int:
        index: int = getattr(self.station, "index")  # noqa: B009 - a station need not have one
        return index


class CausalStage(VirtualStage):
    """The virtual stage with paths that tell.

    Args:
        book: where they tell it.
    """

    def __init__(self, book: CauseBook) -> None:
        super().__init__()
        self._book = book

    def path(self, shop: Workshop, parts: Parts, host: DeviceHost) -> Path:
        """Make a telling path."""
        assert self._broker is not None
        return TellingPath(
            self._book, shop.kernel, shop.ledger, self._broker, parts.link, parts.luck, host
        )
