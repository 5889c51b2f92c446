"""Asked once, done once: idempotency keys.

Decides what is answered to a key that was used before, is under way, or was used for something else. Leaves out where
answers are kept (gateway/core/audit/journal.py) and made durable.

Rules: an answer that was kept is given only when it is durable, so whoever is under way goes before whatever is
remembered; work under a key goes on when whoever asked goes away, because the next to ask must find it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from gateway.core.audit.journal import Journal
from gateway.core.audit.rows import AnswerRow
from gateway.core.effects import Persist
from gateway.runtime.verbs import VerbError

KEY_CHARS_MAX: Final = 200
OK, NOT_OK = 200, 409

Work = Callable[[], Coroutine[Any, Any, Any]]


class Once(msgspec.Struct, frozen=True):
    """An idempotency key and what was asked under it."""

    key: str
    fingerprint: bytes
    """SHA-256 of the request."""


class Keys:
    """The keys of a gateway.

    Args:
        journal: remembers answers.
        wall_ms: UTC now.
    """

    def __init__(self, journal: Journal, wall_ms: Callable[[], int]) -> None:
        self._journal, self._wall_ms = journal, wall_ms
        self._under_way: dict[tuple[str, str], asyncio.Task[Any]] = {}

    async def once(self, actor: str, once: Once | None, work: Work) -> Any:
        """The answer of `work`, or the one that was given to this key before.

        Raises:
            VerbError: ``invalid`` key, ``conflict``, ``mismatch``, or whatever `work` raises or raised.
        """
        if once is None:
            return await work()
        if not (0 < len(once.key) <= KEY_CHARS_MAX and once.key.isprintable()):
            raise VerbError(
                "invalid",
                f"expected an idempotency key of 1 to {KEY_CHARS_MAX} printable characters",
            )
        name = (actor, once.key)
        if name in self._under_way:
            raise VerbError(
                "conflict", "the same idempotency key is under way: wait for its answer"
            )
        before = self._journal.answered(actor, once.key, self._wall_ms())
        if before is not None:
            return _again(before, once)
        task = asyncio.get_running_loop().create_task(work())
        self._under_way[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))
        return await asyncio.shield(task)

    def remembered(
        self, actor: str, once: Once | None, answer: dict[str, Any], at_ms: int
    ) -> list[Persist]:
        """Rows that remember an answer (``ok`` and ``result``, or ``code`` and ``error``)."""
        if once is None:
            return []
        status = OK if answer["ok"] else NOT_OK
        row = AnswerRow(at_ms, once.fingerprint, status, msgspec.json.encode(answer))
        return self._journal.remember(actor, once.key, row)

    def _ended(self, name: tuple[str, str], task: asyncio.Task[Any]) -> None:
        if self._under_way.get(name) is task:
            del self._under_way[name]
        if not task.cancelled():
            task.exception()  # whoever asked may be gone


def _again(before: AnswerRow, once: Once) -> Any:
    """The answer that was given to this key."""
    if before.fingerprint != once.fingerprint:
        raise VerbError(
            "mismatch", "this idempotency key was used for another request: take a new one"
        )
    answer = msgspec.json.decode(before.body)
    if answer["ok"]:
        return answer["result"]
    raise VerbError(answer["code"], answer["error"])
