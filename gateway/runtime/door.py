"""The operator's door: a Unix socket that takes verbs and answers when they are durable.

Decides the lines: one JSON object with a key ``verb`` a line in, one line out for each, in order:
``{"ok": true, "result": ...}`` or ``{"ok": false, "code": "...", "error": "..."}``. Leaves out the verbs
(verbs.py). Whoever can open the socket is the operator: the file belongs to its owner alone.

Rules: a line is at most `LINE_BYTES_MAX`, longer ends the conversation; nobody who is silent for
`IDLE_S_MAX` keeps a place; at most `CONVERSATIONS_MAX` at once, the next is told so and sent away.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from gateway.runtime.logs import say
from gateway.runtime.verbs import AnyVerb, VerbError

DOOR_FILE: Final = "gateway.sock"
LINE_BYTES_MAX: Final = 256 * 1024
IDLE_S_MAX: Final = 60.0
ANSWER_S_MAX: Final = 60.0
HEAR_OUT_S_MAX: Final = 0.5
CONVERSATIONS_MAX: Final = 16
PATH_BYTES_MAX: Final = 107
"""Of a Unix socket's name on Linux (unix(7))."""

_DECODER: Final = msgspec.json.Decoder(AnyVerb)


class Does(Protocol):
    """Does verbs; `office.Local`."""

    async def do(self, verb: AnyVerb) -> Any:
        """Do it; raises `VerbError`."""
        ...


def check_path(path: Path) -> None:
    """See that a socket can be made at a path.

    Raises:
        ValueError: it is too long.
    """
    found = len(os.fsencode(path))
    if found > PATH_BYTES_MAX:
        raise ValueError(
            f"expected a socket path of at most {PATH_BYTES_MAX} bytes, found {found}: {path}; use a state "
            "folder with a shorter name"
        )


class Door:
    """The socket.

    Args:
        operator: does the verbs.
        path: where the socket is made; a file that is there is taken for one left over, so the
            caller must hold the state folder.

    Raises:
        ValueError: the path is too long for a socket.
    """

    def __init__(self, operator: Does, path: Path) -> None:
        check_path(path)
        self._operator, self.path = operator, path
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._converse, self.path, limit=LINE_BYTES_MAX
            )
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening and end all conversations."""
        if self._server is not None:
            self._server.close()
            tasks = list(self._conversations)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.path.unlink(missing_ok=True)
            self._server = None

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._conversations) >= CONVERSATIONS_MAX:
                writer.write(
                    _failure("busy", f"{CONVERSATIONS_MAX} others talk already: come again")
                )
                return
            self._conversations.add(task)
            with suppress(TimeoutError, ConnectionError):
                await self._talk(reader, writer)
        except asyncio.CancelledError:
            pass  # the door closes; asyncio's streams would log this
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_S_MAX):
                    line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                writer.write(_failure("invalid", f"expected at most {LINE_BYTES_MAX} bytes a line"))
                await _hear_out(reader)
                return
            except asyncio.IncompleteReadError:
                return
            writer.write(await self._answer(line))
            async with asyncio.timeout(IDLE_S_MAX):
                await writer.drain()

    async def _answer(self, line: bytes) -> bytes:
        try:
            verb = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _failure("invalid", f"expected a verb and its arguments as JSON, found: {error}")
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                result = await self._operator.do(verb)
        except VerbError as error:
            return _failure(error.code, str(error))
        except TimeoutError:
            return _failure("busy", f"not done within {ANSWER_S_MAX:g} s; it may still be: look")
        except Exception as error:  # noqa: BLE001 - a bug in one verb must not end the gateway
            say(logging.ERROR, "verb failed", verb=type(verb).__name__, error=repr(error))
            return _failure("broken", f"the gateway failed at this: {error!r}; please report it")
        say(logging.DEBUG, "verb done", verb=type(verb).__name__)
        return msgspec.json.encode({"ok": True, "result": result}) + b"\n"


async def _hear_out(reader: asyncio.StreamReader) -> None:
    """Read on for a moment: a socket closed with bytes unread would take the answer with it."""
    async with asyncio.timeout(HEAR_OUT_S_MAX):
        while await reader.read(LINE_BYTES_MAX):
            pass


def _failure(code: str, error: str) -> bytes:
    return msgspec.json.encode({"ok": False, "code": code, "error": error}) + b"\n"
