"""The device process: ``python -m devicesdk.host '<options as JSON>'``, which ``device run`` becomes.

Decides how a device is put together from its options, and how its process begins and ends: SIGTERM and
SIGINT end it politely. Leaves out what the options mean (settings.py) and the device (host.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from devicesdk.agent.agent import Identity
from devicesdk.aio.clock import RealClock
from devicesdk.aio.port import Endpoint, Listener, MqttPort
from devicesdk.host.camera import Camera, CommandCamera, DrawnCamera, FolderCamera, NoFrameError
from devicesdk.host.capabilities import capabilities
from devicesdk.host.credentials import CredentialError, Credentials
from devicesdk.host.host import Host
from devicesdk.host.kit import Kit
from devicesdk.host.models import BundleShelf, Models
from devicesdk.host.sensors import Sensors
from devicesdk.host.settings import (
    Adapter,
    Options,
    SettingsError,
    fresh_seed,
    machine_memory_mib,
    read_config,
    read_endpoint,
    read_enrolment,
    seed_of,
)
from devicesdk.host.storage import Storage, StorageBusyError, StorageRefused
from devicesdk.host.worker import HungError
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.timebase import SECOND
from devicesdk.wire.topics import check_device_id

EXIT_REFUSED: Final = 2
EXIT_FAILED: Final = 3
_REFUSALS: Final = (
    SettingsError,
    BadTopic,
    NoFrameError,
    StorageBusyError,
    StorageRefused,
    msgspec.MsgspecError,
)
_log = logging.getLogger("fleetdrill.device")


def put_together(options: Options) -> Kit:
    """Make the parts of a device.

    Raises:
        SettingsError: an option or a file cannot be used.
        BadTopic: the id cannot be one topic level.
        NoFrameError: there are no pictures in the folder.
        StorageBusyError: another process runs this device.
        StorageRefused: its folder cannot be used.
    """
    endpoint, device = _endpoint(options), check_device_id(options.device)
    memory_mib = options.memory_mib or machine_memory_mib()
    config = read_config(options.config)
    verifier, anchor = read_enrolment(options.trust)
    frames = _camera(options)
    storage = Storage(Path(options.state))
    shelf = BundleShelf([Path(folder) for folder in options.bundles])
    return Kit(
        config=config,
        identity=Identity(
            device,
            options.hardware_class,
            memory_mib,
            capabilities=capabilities(memory_mib),
        ),
        verifier=verifier,
        anchor=anchor,
        seed=fresh_seed(),
        storage=storage,
        models=Models(
            storage, frames, shelf, RealClock().now, config.inference_timeout_ns / SECOND
        ),
        sensors=Sensors(options.interface, metered=config.metered),
        clock=RealClock(options.speed),
        make_port=_port_maker(options.port_adapter, endpoint),
        notice=None if options.notice is None else Path(options.notice),
    )


def _endpoint(options: Options) -> Endpoint:
    endpoint = read_endpoint(options)
    if options.password_command is None and options.renew_command is None:
        return endpoint
    try:
        credentials = Credentials(
            RealClock().wall_ms,
            password_command=options.password_command,
            renew_command=options.renew_command,
            certificate=options.cert,
            key=options.key,
        )
    except CredentialError as error:
        raise SettingsError(f"--password-command, --renew-command: {error}") from error
    return replace(endpoint, refresh=credentials.refresh)


def _camera(options: Options) -> Camera:
    if options.images is not None and options.camera is not None:
        raise SettingsError("--images, --camera: expected at most one of them")
    if options.images is not None:
        return FolderCamera(Path(options.images))
    if options.camera is not None:
        try:
            return CommandCamera(options.camera)
        except ValueError as error:
            raise SettingsError(f"--camera: {error}") from error
    return DrawnCamera(seed_of(options.device))


def _port_maker(adapter: Adapter, endpoint: Endpoint) -> Callable[[Listener], MqttPort]:
    if adapter is Adapter.AIOMQTT:
        from devicesdk.aio.aiomqtt_port import AiomqttPort

        return lambda listener: AiomqttPort(endpoint, listener)
    from devicesdk.aio.lean import LeanPort

    return lambda listener: LeanPort(endpoint, listener)


async def live(kit: Kit) -> None:
    """Run the device until a signal ends it."""
    host = Host(kit)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.stop)
    await host.run()


def main(arguments: list[str]) -> int:
    """Run the device that the only argument describes; returns the exit status."""
    try:
        options = msgspec.json.decode(arguments[0], type=Options)
        _say_what_happens(verbose=options.verbose)
        kit = put_together(options)
    except _REFUSALS as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_REFUSED
    try:
        asyncio.run(live(kit))
    except Exception as error:  # noqa: BLE001 - the last stop: said in full, then the supervisor's
        _log.critical("failed=%r", error, exc_info=error)
        if isinstance(error, HungError):
            os._exit(EXIT_FAILED)  # the interpreter would wait for the thread for ever
        return EXIT_FAILED
    return 0


def _say_what_happens(*, verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    _log.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
