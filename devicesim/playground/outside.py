"""A gateway that is somebody else's process, as a world sees it: nothing.

Decides what a world may do with a gateway that it was not given: put blobs where that gateway finds them. Leaves out all
that an operator does, which happens at the gateway's own doors.

Rule: devices reach it by its broker alone, as those of a real fleet do; what a scenario would do to a gateway of its own
is a bug in that scenario.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from devicesim.live.gateway import LiveBlobs
from gateway.core.gateway import Gateway
from gateway.core.stimuli import AnyStimulus
from gateway.ports import Blobs


class NoRows:
    """Rows that nobody here can see."""

    def rows(self) -> Iterable[tuple[str, str, Any]]:
        """None."""
        return ()


class OutsideGateway:
    """The place of the gateway in a world that has none.

    Args:
        blobs: where that gateway looks for what devices fetch.
    """

    crashes = inbox_peak = commit_ns = 0
    up = connected = True
    tampering: Callable[[str, bytes], bytes] | None = None
    silent: Callable[[str], bool] | None = None
    """Devices are served as the gateway likes."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs, self.store = LiveBlobs(blobs), NoRows()

    @property
    def core(self) -> Gateway:
        """Not here."""
        self._theirs("its machine")

    def start(self, now: int) -> None:
        """It runs already."""

    def stimulate(self, stimulus: AnyStimulus, now: int) -> None:
        """Nothing: what a factory tells an operator is told at the gateway's door (begin.py)."""

    def on_the_wire(self) -> int:
        """Not known."""
        return 0

    def crash(self, now: int, effect: int = 0) -> None:
        """Not ours."""
        self._theirs(f"a crash at {now}, {effect}")

    def stop(self, now: int) -> None:
        """Not ours."""
        self._theirs(f"its end at {now}")

    def keep_down(self, now: int) -> None:
        """Not ours."""
        self._theirs(f"its end at {now}")

    def let_up(self, now: int) -> None:
        """Not ours."""
        self._theirs(f"its start at {now}")

    def fill_store(self, now: int, *, full: bool) -> None:
        """Not ours."""
        self._theirs(f"its disk at {now}, {full}")

    def lose_roots(self, keep: int) -> None:
        """Not ours."""
        self._theirs(f"all its roots but {keep}")

    def refuse_rows(self, now: int) -> None:
        """Not ours."""
        self._theirs(f"an older version at {now}")

    def tamper(self, change: Callable[[str, bytes], bytes] | None) -> None:
        """Change chunks when they reach a device: that is on our side."""
        self.tampering = change

    def silence(self, is_silent: Callable[[str], bool] | None) -> None:
        """Not ours."""
        self._theirs(f"its silence, {is_silent}")

    def _theirs(self, what: str) -> NoReturn:
        raise RuntimeError(f"expected a gateway of this world, found somebody else's: {what}")
