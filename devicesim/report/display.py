"""A drawing at the foot of a terminal that goes when it is over, and nothing of it in a log.

Decides when there is one: on a terminal. Leaves out what is drawn, and when.
"""

from __future__ import annotations

from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live


class Display:
    """Owns a console and, on a terminal, a drawing on it; use it as a context manager.

    Args:
        console: where to draw; standard error when None, so that standard output stays data.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to draw, where that can be seen."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the drawing away; what was printed stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, drawing: RenderableType) -> None:
        """Draw anew; nothing where there is no terminal."""
        if self._live is not None:
            self._live.update(drawing, refresh=True)
