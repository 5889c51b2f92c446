"""Tokens for the two small languages of a scenario: selectors and triggers.

Decides how text is cut into tokens and how a parser walks them, with the offset of each for the
caret in a complaint. Leaves out both grammars (selector.py, trigger.py).

Rules: text is bounded by `TEXT_CHARS_MAX` and nesting by `DEPTH_MAX`, so recursion is too.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from devicesim.scenario.errors import Refusal, show

TEXT_CHARS_MAX: Final = 1_000
DEPTH_MAX: Final = 16


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token: its kind is the name of the pattern's group, ``end`` after the last one."""

    kind: str
    text: str
    offset: int


class Cursor:
    """Walks the tokens of one text.

    Args:
        text: the sentence.
        pattern: alternatives with named groups; blanks between tokens are skipped.
        what: noun phrase for complaints, such as "a selector such as group=kiosk".

    Raises:
        Refusal: too long, or a character that starts no token.
    """

    def __init__(self, text: object, pattern: re.Pattern[str], what: str) -> None:
        if not isinstance(text, str) or not text.strip():
            raise Refusal(what, found=show(text))
        if len(text) > TEXT_CHARS_MAX:
            raise Refusal(f"{what} of at most {TEXT_CHARS_MAX} characters", found=show(text))
        self.text = text
        self.what = what
        self._tokens = self._cut(text, pattern)
        self._index = 0
        self._depth = 0

    @property
    def peek(self) -> Token:
        """The next token, without taking it."""
        return self._tokens[self._index]

    def ahead(self) -> Token:
        """The token after the next."""
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Take the next token; the end can be taken again and again."""
        token = self._tokens[self._index]
        self._index = min(self._index + 1, len(self._tokens) - 1)
        return token

    def accept(self, *texts: str) -> bool:
        """Take the next token if it reads as one of `texts`."""
        if self.peek.kind != "end" and self.peek.text in texts:
            self.take()
            return True
        return False

    def expect(self, text: str) -> None:
        """Take a token that must read `text`."""
        if not self.accept(text):
            raise self.refuse(self.peek, f"{text!r}")

    def descend(self) -> None:
        """Count one level of nesting."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self.refuse(self.peek, f"at most {DEPTH_MAX} levels of brackets")

    def ascend(self) -> None:
        """Leave one level of nesting."""
        self._depth -= 1

    def finish(self) -> None:
        """Insist that nothing is left."""
        if self.peek.kind != "end":
            raise self.refuse(self.peek, "an operator, or the end")

    def refuse(self, token: Token, expected: str, *, nearest: str = "") -> Refusal:
        """Make a complaint about one token."""
        if token.kind == "end":
            found = f"the end of {show(self.text)}"
        else:
            found = f"{token.text!r} in {show(self.text)}"
        return Refusal(
            f"{self.what}: {expected}", found=found, nearest=nearest, offset=token.offset
        )

    def _cut(self, text: str, pattern: re.Pattern[str]) -> list[Token]:
        tokens, position = [], 0
        while position < len(text):
            if text[position].isspace():
                position += 1
                continue
            match = pattern.match(text, position)
            if match is None or match.lastgroup is None:
                bad = Token("bad", text[position], position)
                raise self.refuse(bad, "nothing that starts like this")
            tokens.append(Token(match.lastgroup, match[0], position))
            position = match.end()
        return [*tokens, Token("end", "", len(text))]
