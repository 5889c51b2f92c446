"""What all commands share that ask a gateway: options, exit codes, and how errors are told.

Decides which options say where the gateway is, what goes to which stream (results to standard output, everything else
to standard error), and which exit code an error has. Leaves out the ways to a gateway (gateway/client) and what is
asked.

Exit codes: 0 done; 1 the gateway refused, or something was found; 2 an argument, file or configuration is invalid;
3 the gateway itself failed; 5 no gateway answers (or is too busy) and asking again may help; 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Concatenate,
    Final,
    ParamSpec,
    Self,
    get_type_hints,
)

import msgspec
import typer

from gateway.client.reach import STATE, Where, reach
from gateway.commands.words import of_path

if TYPE_CHECKING:
    from gateway.client.way import Way
    from gateway.runtime.verbs import AnyVerb

P = ParamSpec("P")
EXIT_DONE, EXIT_REFUSED, EXIT_INVALID, EXIT_BROKEN = range(4)
EXIT_AWAY: Final = 5
EXIT_STOPPED: Final = 130
_CODES: Final = {
    "invalid": EXIT_INVALID,
    "unknown": EXIT_INVALID,
    "mismatch": EXIT_INVALID,
    "broken": EXIT_BROKEN,
    "busy": EXIT_AWAY,
    "too-often": EXIT_AWAY,
    "conflict": EXIT_AWAY,
    "stopped": EXIT_AWAY,
    "upload-busy": EXIT_AWAY,
}
"""By the code of a `VerbError`; others: refused."""
_PANEL: Final = "Which gateway"

State = Annotated[Path, typer.Option("--state", help="State folder of the gateway.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="Only devices with it; repeatable."),
]
Why = Annotated[str, typer.Option(help="Why; it is kept.")]
_WHERE: Final[dict[str, tuple[Any, Any]]] = {
    "url": (
        Annotated[
            str,
            typer.Option(
                help="Its API, such as https://gateway.example:8140; or FLEETDRILL_URL.",
                rich_help_panel=_PANEL,
            ),
        ],
        "",
    ),
    "token_file": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="Holds the token; or FLEETDRILL_TOKEN, the token itself.",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "ca": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="PEM of whoever signed its certificate; or FLEETDRILL_CA.",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "plain": (
        Annotated[
            bool,
            typer.Option(
                "--plain",
                help="Send the token over plain HTTP, beyond this machine too.",
                rich_help_panel=_PANEL,
            ),
        ],
        False,
    ),
    "state": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="DIR",
                help=f"Its state folder, on its machine, as its owner; {STATE} by default.",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
}
_AS_JSON: Final = (
    Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")],
    False,
)
_ONCE: Final = (
    Annotated[
        str,
        typer.Option(
            "--once",
            metavar="KEY",
            help="Do it once, however often it is asked with this key.",
            rich_help_panel=_PANEL,
        ),
    ],
    "",
)


class Ask:
    """One command's conversation with a gateway.

    Args:
        where: what was said of the gateway.
        as_json: whether results are JSON.
    """

    def __init__(self, where: Where, *, as_json: bool) -> None:
        self.where, self.as_json = where, as_json
        self._way: Way | None = None

    @property
    def way(self) -> Way:
        """The way to the gateway, found when it is first gone."""
        if self._way is None:
            self._way = way_to(self.where)
        return self._way

    @property
    def by_door(self) -> bool:
        """Whether the gateway's state folder is here."""
        from gateway.client.door import DoorWay

        return isinstance(self.way, DoorWay)

    def do(self, said: dict[str, Any]) -> Any:
        """Ask for a verb; arguments that are none are told before anybody is asked.

        Args:
            said: the verb as JSON has it.

        Raises:
            ValueError: it is no verb.
        """
        from gateway.runtime import verbs

        verb: AnyVerb = msgspec.convert(said, verbs.AnyVerb)
        return self.way.ask(verb)

    def tell(self, found: Any, show: Callable[[Any], str]) -> None:
        """Print a result."""
        typer.echo(json.dumps(found) if self.as_json else show(found))

    def change(self, said: dict[str, Any]) -> None:
        """Ask for a mutation and print what follows from it."""
        self.tell(self.do(said), said_of)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._way is not None:
            self._way.close()


def way_to(where: Where, answer_s_max: float | None = None) -> Way:
    """The way that was said, by this process's environment."""
    return reach(where, os.environ, os.urandom, _sleep, answer_s_max)  # noqa: TID251 - here entropy enters


def _sleep(seconds: float) -> None:
    """Wait, and let Ctrl-C end it."""
    threading.Event().wait(seconds)


def asks(work: Callable[Concatenate[Ask, P], int | None]) -> Callable[..., None]:
    """Make a command of what is done with an `Ask`: it gets the options that say which gateway, and ``--json``.

    Args:
        work: returns an exit code, or None for 0.
    """
    return _command(work, {**_WHERE, "as_json": _AS_JSON})


def changes(work: Callable[Concatenate[Ask, P], int | None]) -> Callable[..., None]:
    """The same of what changes something: ``--once``, too."""
    return _command(work, {**_WHERE, "once": _ONCE, "as_json": _AS_JSON})


def _command(
    work: Callable[Concatenate[Ask, P], int | None], options: dict[str, tuple[Any, Any]]
) -> Callable[..., None]:
    @functools.wraps(work)
    def command(**said: Any) -> None:
        as_json = said.pop("as_json")
        where = Where(**{name: said.pop(name) for name in options if name != "as_json"})

        def all_of_it() -> int:
            with Ask(where, as_json=as_json) as ask:
                return work(ask, **said) or EXIT_DONE  # type: ignore[call-arg]

        raise typer.Exit(guarded(all_of_it))

    return _signed(command, work, options)


def _signed(
    command: Callable[..., None], work: Callable[..., Any], options: dict[str, tuple[Any, Any]]
) -> Callable[..., None]:
    """Give a command the parameters of `work` but the first, and options."""
    hints = get_type_hints(work, include_extras=True)
    _, *own = inspect.signature(work).parameters.values()
    parameters = [one.replace(annotation=hints[one.name]) for one in own]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def pairs(words: list[str] | None) -> dict[str, str]:
    """Labels of ``KEY=VALUE``.

    Raises:
        ValueError: one is not.
    """
    found = {}
    for word in words or []:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise ValueError(f"expected a label as KEY=VALUE, found {word!r}")
        found[key] = value
    return found


def said_of(found: dict[str, Any]) -> str:
    """What a mutation answered, for people."""
    return "\n".join(found["said"]) or "done"


def guarded(work: Callable[[], int]) -> int:
    """Turn errors into a message on standard error and an exit code."""
    from gateway.adapters.brokers.process import BrokerError
    from gateway.adapters.keys import KeyFileError
    from gateway.ports import BlobError, StorageError
    from gateway.runtime.knock import NoGatewayError
    from gateway.runtime.verbs import VerbError

    try:
        return work()
    except VerbError as error:
        return _complain(error, _CODES.get(error.code, EXIT_REFUSED))
    except NoGatewayError as error:
        return _complain(error, EXIT_AWAY)
    except OSError as error:
        return _complain(of_path(error), EXIT_INVALID)
    except (ValueError, BrokerError, KeyFileError, StorageError, BlobError) as error:
        return _complain(error, EXIT_INVALID)
    except KeyboardInterrupt:
        return EXIT_STOPPED
    except Exception as error:  # noqa: BLE001 - the last resort: say that it is our fault
        import traceback

        traceback.print_exc(file=sys.stderr)
        return _complain(error, EXIT_BROKEN)


def _complain(error: Exception | str, code: int) -> int:
    typer.echo(f"fleetdrill: {error}", err=True)
    return code
