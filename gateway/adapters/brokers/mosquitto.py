"""A mosquitto of our own, for one run: configuration written, process started.

Decides where the program is looked for and how a free port is found. Leaves out the settings
(settings.py) and the process (process.py). The one that serves a plant is started by its system, with
``mosquitto/mosquitto.conf``.

Rules: mosquitto is the reference broker; what others lack is said by comparison with it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from devicesdk.aio.port import Endpoint
from gateway.adapters.brokers.process import BrokerError, BrokerProcess, free_port, ready_folder
from gateway.adapters.brokers.running import RunningBroker
from gateway.adapters.brokers.settings import RunSettings, run_config
from gateway.adapters.certificates import client_context, server_tls

SYSTEM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin"
"""Where packages put it, and where a user's path seldom looks."""
PORT_TRIES_MAX: Final = 3
VERSION_S_MAX: Final = 30.0


def find_mosquitto() -> str | None:
    """The path of the program, or None."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=SYSTEM_FOLDERS)


def version_of(program: str) -> str:
    """Its version, such as ``2.0.11``; ``?`` when it does not say."""
    said = subprocess.run(
        [program, "-h"], capture_output=True, text=True, check=False, timeout=VERSION_S_MAX
    )
    match = re.search(r"version (\d+(?:\.\d+)+)", said.stdout + said.stderr)
    return match[1] if match else "?"


async def start_mosquitto(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    persistence: bool = True,
    autosave_changes: int | None = None,
    certificates: Path | None = None,
    passwords: Path | None = None,
    acl: Path | None = None,
    bind_names: bool = False,
) -> RunningBroker:
    """Write a configuration into `folder` and start mosquitto with it.

    Args:
        folder: for configuration, log and sessions; made if need be.
        host: address to listen on.
        port: port to listen on; 0 for a free one.
        persistence: keep sessions and retained messages on the disk.
        autosave_changes: changes between two saves; None saves by time.
        certificates: folder ``tls`` (gateway/adapters/certificates.py): the listener then speaks TLS
            and demands a client certificate; None for plain TCP.
        passwords: file of ``mosquitto_passwd``; nobody is anonymous then.
        acl: file of topic permissions.
        bind_names: take the user's name for the client id.

    Raises:
        BrokerError: not found, or did not start.
        KeyFileError: no authority in `certificates`.
    """
    program = find_mosquitto()
    if program is None:
        raise BrokerError(
            f"expected mosquitto on the path or in {SYSTEM_FOLDERS}, found none: "
            f"apt-get install mosquitto, or use the embedded broker"
        )
    folder = ready_folder(folder)
    for tries_left in reversed(range(PORT_TRIES_MAX)):
        chosen = port or free_port(host)
        settings = RunSettings(
            host=host,
            port=chosen,
            persistence=persistence,
            autosave_changes=autosave_changes,
            tls=None if certificates is None else server_tls(certificates),
            passwords=passwords,
            acl=acl,
            bind_names=bind_names,
        )
        try:
            process = await _start(program, settings, folder)
        except BrokerError:
            if port or not tries_left:  # a free port may have been taken meanwhile
                raise
        else:
            break
    return RunningBroker(
        f"mosquitto {version_of(program)}",
        Endpoint(
            host=host,
            port=chosen,
            tls=None if certificates is None else client_context(certificates / "ca.crt"),
        ),
        process=process,
        certificates=certificates,
        memory=(folder / "mosquitto.db",),
    )


async def _start(program: str, settings: RunSettings, folder: Path) -> BrokerProcess:
    config = folder / "mosquitto.conf"
    config.write_text(run_config(settings, folder))
    process = BrokerProcess((program, "-c", str(config)), folder, settings.host, settings.port)
    await process.start()
    return process
