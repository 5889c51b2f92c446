"""``fleetdrill gateway serve``: run the gateway.

Decides options, the process's mask and loop. Leaves out all work (gateway/service.py).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.client.reach import STATE
from gateway.commands.asking import EXIT_DONE, State, guarded


def serve_command(
    *,
    state: State = STATE,
    config: Annotated[
        Path | None, typer.Option(help="TOML file; FLEETDRILL_... variables override it.")
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="auto, mosquitto, embedded, or mqtt[s]://[user:password@]host[:port]."),
    ] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log JSON lines.")] = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    raise typer.Exit(guarded(lambda: _serve(state, config, broker, json_logs)))


def _serve(state: Path, file: Path | None, broker: str | None, json_logs: bool) -> int:  # noqa: FBT001 - passed on by `serve_command` alone
    from msgspec.structs import replace

    from devicesdk.aio.clock import RealClock
    from gateway.config import load_config
    from gateway.runtime.logs import to_stream, whole_process
    from gateway.service import serve

    text = file.read_text() if file is not None else ""
    config = load_config(text, os.environ, str(file or ""))
    if broker is not None:
        config = replace(config, broker=replace(config.broker, url=broker))
    handler = to_stream(as_json=json_logs or config.log.json, level=config.log.level)
    whole_process(handler, config.log.level)
    os.umask(0o077)  # what is in the folder is nobody else's business
    state.mkdir(parents=True, exist_ok=True)
    _run_loop(serve(config, state, RealClock(), os.urandom))  # noqa: TID251 - here entropy enters
    return EXIT_DONE


def _run_loop(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not on Linux
        asyncio.run(work)
    else:
        uvloop.run(work)
