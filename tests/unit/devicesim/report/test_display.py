"""A drawing that is there on a terminal only, and goes."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from devicesim.report.display import Display


class Clockface(Display):
    def tick(self, text: str) -> None:
        self._show(Text(text))


def drawn(*, terminal: bool) -> str:
    heard = io.StringIO()
    console = Console(file=heard, force_terminal=terminal, width=40)
    with Clockface(console) as face:
        face.tick("half past")
    face.tick("too late")
    return heard.getvalue()


def test_a_terminal_shows_it_while_it_lasts() -> None:
    text = drawn(terminal=True)
    assert "half past" in text
    assert "too late" not in text
    assert "\x1b[?25h" in text, "the cursor came back"


def test_a_log_never_sees_it() -> None:
    assert drawn(terminal=False) == ""
