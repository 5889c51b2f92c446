"""A broker that is there: one that we started, or one that somebody else runs.

Decides what the rest may do with a broker: connect to it, and stop, kill, freeze and restart it when
it is ours. Leaves out how each kind is configured (mosquitto.py, embedded.py) and which one is taken
(find.py).

Rules: a broker keeps its port and its folder for life, so that clients find it again; a broker that
we did not start is never stopped.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from devicesdk.aio.port import Endpoint
from gateway.adapters.brokers.process import BrokerProcess
from gateway.adapters.certificates import client_context, client_pair


class NotOursError(RuntimeError):
    """Somebody else's broker can be neither killed nor restarted by us."""


class RunningBroker:
    """A broker to connect to.

    Args:
        name: for people, such as ``mosquitto 2.0.11``.
        endpoint: where it listens; who connects is `endpoint_for`'s business.
        lacks: what clients must do without, in words for people.
        process: the child process; None for somebody else's broker.
        memory: files in which the process keeps its sessions and retained messages.
        certificates: folder ``tls`` with a client certificate for each user; None for no such thing.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        lacks: tuple[str, ...] = (),
        process: BrokerProcess | None = None,
        memory: tuple[Path, ...] = (),
        certificates: Path | None = None,
    ) -> None:
        self.name, self.endpoint, self.lacks = name, endpoint, lacks
        self._certificates = certificates
        self._process, self._memory = process, memory

    @property
    def ours(self) -> bool:
        """Whether we started it, so that it can be killed and restarted."""
        return self._process is not None

    @property
    def alive(self) -> bool:
        """Whether its process runs; True for somebody else's, of which we know nothing."""
        return self._process is None or self._process.alive

    @property
    def pid(self) -> int | None:
        """Process id while it runs and is ours."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> Path | None:
        """The file its process writes what it has to say; None for somebody else's."""
        return self._process.log if self._process else None

    @property
    def url(self) -> str:
        """Address for people and for `open_broker`."""
        scheme = "mqtts" if self.endpoint.tls else "mqtt"
        return f"{scheme}://{self.endpoint.host}:{self.endpoint.port}"

    def endpoint_for(self, user: str) -> Endpoint:
        """The endpoint for `user` (acl.py): with its certificate, where certificates are used.

        Raises:
            KeyFileError: that user has none.
        """
        if self._certificates is None:
            return self.endpoint
        tls = client_context(self._certificates / "ca.crt", client_pair(self._certificates, user))
        return msgspec.structs.replace(self.endpoint, tls=tls)

    async def stop(self) -> None:
        """Ask the process to end and wait for it; nothing for somebody else's, or when it ended."""
        if self._process:
            await self._process.stop()

    def kill(self) -> None:
        """End the process at once, as ``kill -9`` does.

        Raises:
            NotOursError: somebody else's.
        """
        self._ours("kill").kill()

    def freeze(self) -> None:
        """Stop the process where it stands (SIGSTOP): sockets stay open and silent.

        Raises:
            NotOursError: somebody else's.
        """
        self._ours("freeze").freeze()

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT).

        Raises:
            NotOursError: somebody else's.
        """
        self._ours("thaw").thaw()

    def saved_at_ns(self) -> int:
        """When the file was written that it would remember now, in nanoseconds since 1970; 0 for never."""
        return max((file.stat().st_mtime_ns for file in self._memory if file.exists()), default=0)

    async def restart(self, *, forget: bool = False) -> None:
        """Start it again on the same port, after `stop`, `kill` or while it runs (then stop first).

        Args:
            forget: lose sessions and retained messages, even those that were on the disk.

        Raises:
            NotOursError: somebody else's.
            BrokerError: it did not come back.
        """
        process = self._ours("restart")
        await process.stop()
        if forget:
            for file in self._memory:
                file.unlink(missing_ok=True)
        await process.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _ours(self, wish: str) -> BrokerProcess:
        if self._process is None:
            raise NotOursError(
                f"expected a broker that we started, found {self.url}, which somebody else runs: "
                f"{wish} it there, or let us start one (--broker auto)"
            )
        return self._process
