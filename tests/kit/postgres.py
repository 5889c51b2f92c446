"""A PostgreSQL server of the tests' own: Debian's programs, a cluster in a folder, a Unix socket in it.

The server refuses to run as root, so root starts it as the account ``postgres`` that the package makes. It
listens on no port. `durable=False` is for tests that say nothing about a crash: without fsync a database is
made in milliseconds.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from urllib.parse import quote

import psycopg
from psycopg import sql

ACCOUNT = "postgres"
PATIENCE_S = 60


def programs() -> Path:
    """The folder of the newest installed server's programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if not found:
        raise RuntimeError(
            "expected Debian's PostgreSQL in /usr/lib/postgresql, found none: run `make postgres`"
        )
    return found[-1].parent


class Cluster:
    """A cluster with its server, started and stopped by hand.

    Args:
        folder: empty, short (a socket's path has at most 107 bytes).
        durable: whether commits reach the disk.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder, self._durable = folder, durable
        self._data = folder / "data"
        self._numbers = count(1)
        self._server: subprocess.Popen[bytes] | None = None
        self._as = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if _root() else {}
        if _root():
            account = pwd.getpwnam(ACCOUNT)
            os.chown(folder, account.pw_uid, account.pw_gid)
        # Small, and not synced: what a test is about comes after the server was started.
        self._run("initdb", "-D", str(self._data), "-U", ACCOUNT, "--auth=trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--wal-segsize=1")  # fmt: skip

    def url(self, database: str = ACCOUNT) -> str:
        """Where a gateway finds a database of it."""
        return f"postgresql://{ACCOUNT}@/{database}?host={quote(str(self.folder), safe='')}"

    def connect(self, database: str = ACCOUNT) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the superuser's that commits each statement."""
        return psycopg.connect(
            host=str(self.folder), dbname=database, user=ACCOUNT, autocommit=True, connect_timeout=5
        )

    def database(self, encoding: str = "UTF8") -> str:
        """Make an empty database; returns its URL."""
        name = f"t{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
                    sql.Identifier(name), sql.Literal(encoding)
                )
            )
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "16MB",
            "max_connections": "30",
            "min_wal_size": "2MB",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "synchronous_commit": "off",  # the gateway has to ask for it
        }
        words = [f"-c{key}={value}" for key, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(programs() / "postgres"), "-D", str(self._data), *words],
                cwd=self.folder, stdout=log, stderr=log, **self._as,
            )  # fmt: skip
        self._until_it_answers()

    def kill(self) -> None:
        """kill -9 of the server's first process; the others notice and end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it at once, without a checkpoint."""
        if self._server is not None:
            self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        assert self._server is not None, "the server was not started"
        self._server.send_signal(number)
        self._server.wait(PATIENCE_S)
        self._server = None

    def _until_it_answers(self) -> None:
        for _ in range(PATIENCE_S * 20):
            assert self._server is not None
            if self._server.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            done = subprocess.run(
                [str(programs() / "pg_isready"), "-q", "-h", str(self.folder), "-t", "1"],
                check=False,
            )
            if done.returncode == 0:
                return
            Event().wait(0.05)
        raise RuntimeError(f"waited {PATIENCE_S} s in vain for PostgreSQL in {self.folder}")

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(programs() / program), *words], cwd=self.folder, capture_output=True, check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **self._as,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout.decode()}{done.stderr.decode()}")


@contextmanager
def cluster(*, durable: bool = False) -> Iterator[Cluster]:
    """A running cluster in a folder that goes away with it."""
    folder = Path(tempfile.mkdtemp(prefix="fd-pg-"))
    made = None
    try:
        made = Cluster(folder, durable=durable)
        made.start()
        yield made
    finally:
        if made is not None:
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _root() -> bool:
    return os.geteuid() == 0
