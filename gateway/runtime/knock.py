"""How a command line talks to the door: one line out, one line in.

Decides patience and what a missing gateway is called. Leaves out the verbs.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.runtime.door import ANSWER_S_MAX, DOOR_FILE, check_path
from gateway.runtime.verbs import AnyVerb, VerbError

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024


class NoGatewayError(RuntimeError):
    """Nobody answers at the door."""


def knock(state: Path, verb: AnyVerb) -> Any:
    """Ask the gateway that runs in a state folder for something.

    Raises:
        NoGatewayError: none runs there or can, or it went away.
        VerbError: it was not done.
    """
    path = state / DOOR_FILE
    try:
        check_path(path)
    except ValueError as error:
        raise NoGatewayError(str(error)) from error
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_S_MAX + 5.0)
            line.connect(str(path))
            line.sendall(msgspec.json.encode(verb) + b"\n")
            with line.makefile("rb") as answers:
                answer = answers.readline(ANSWER_BYTES_MAX)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise NoGatewayError(
            f"expected a gateway at {path}, found none ({found}): start one with "
            f"`fleetdrill gateway serve --state {state}` (`make serve`: one to play with); of one that runs elsewhere "
            "give the folder by --state, or the address by --url or FLEETDRILL_URL"
        ) from error
    if not answer.endswith(b"\n"):
        raise NoGatewayError(f"expected an answer at {path}, found that the gateway went away")
    said = msgspec.json.decode(answer)
    if not said["ok"]:
        raise VerbError(said["code"], said["error"])
    return said["result"]
