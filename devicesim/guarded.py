"""What a command of the simulator makes of errors, and what it exits with.

Decides the exit codes, and which errors are the caller's, the machine's or ours. Leaves out what errors say:
whoever raises one tells what was expected, what was found and what to do.

Rule: whoever reads a traceback reads about a bug of ours, never about a mistake of theirs.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from typing import Final

import typer

from gateway.commands.words import PATHS, of_path

EXIT_HELD, EXIT_FAILED, EXIT_INVALID, EXIT_BROKEN, EXIT_DIVERGED = range(5)
EXIT_UNREAD: Final = 141
"""Whoever read standard output has left: what a shell says of a process ended by SIGPIPE."""
WIDTH_MAX: Final = 110


class GivenUp(RuntimeError):
    """The work cannot go on, for a reason that is told and is no bug: no memory, no worker that lives."""


def guarded(
    work: Callable[[], int], what: str = "simulator", refused: tuple[type[Exception], ...] = ()
) -> int:
    """Turn errors into a message on standard error and an exit code.

    Args:
        work: what to do; returns its own exit code.
        what: failed itself, should it come to that.
        refused: errors beside the usual ones that say that something asked for cannot be had.
    """
    invalid: tuple[type[Exception], ...] = (
        ValueError,
        KeyError,
        ModuleNotFoundError,
        *refused,
    )
    from devicesim.scenario import ScenarioError  # pydantic's models: not for a mere --help

    try:
        return work()
    except ScenarioError as error:
        typer.echo(error.render(width()), err=True)
        return EXIT_INVALID
    except PATHS as error:
        typer.echo(f"fleetdrill: {of_path(error)}", err=True)
        return EXIT_INVALID
    except invalid as error:
        typer.echo(f"fleetdrill: {error}", err=True)
        return EXIT_INVALID
    except GivenUp as error:
        typer.echo(f"fleetdrill: {error}", err=True)
        return EXIT_BROKEN
    except BrokenPipeError:  # somebody has read enough: `fleetdrill story ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNREAD
    except KeyboardInterrupt:
        typer.echo("fleetdrill: interrupted", err=True)
        return EXIT_BROKEN
    except Exception:  # noqa: BLE001 - the last resort: say that it is our fault, and where
        traceback.print_exc(file=sys.stderr)
        typer.echo(
            f"fleetdrill: the {what} itself failed; this is a bug, please report it", err=True
        )
        return EXIT_BROKEN


def width() -> int:
    """Columns that a message may have."""
    return min(WIDTH_MAX, shutil.get_terminal_size((100, 24)).columns)
