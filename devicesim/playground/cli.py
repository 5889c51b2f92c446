"""The command ``fleetdrill playground``.

Decides options and what is printed. Leaves out all work (run.py).

Exit codes: 0 it was ended; 2 an option cannot be used, the port is taken, or another one plays in the folder; 3 what
should run ended by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from devicesim.guarded import EXIT_HELD, guarded

if TYPE_CHECKING:
    from devicesim.playground.process import GatewayProcess

FOLDER: Final = Path("playground")
PORT: Final = 8140
SPEED_MAX: Final = 60.0
_PLAN: Final = {
    "haze": "the lenses in the south hall begin to haze over: watch the console's Drift"
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(playground)


def playground(
    *,
    folder: Annotated[
        Path,
        typer.Option(help="Where keys, bundles, the gateway and the devices keep what is theirs."),
    ] = FOLDER,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of console and API on 127.0.0.1; 0: a free one.")
    ] = PORT,
    speed: Annotated[
        float | None,
        typer.Option(
            min=1, max=SPEED_MAX, help="How much faster than you devices live; 6 by default."
        ),
    ] = None,
    broker: Annotated[
        str, typer.Option(help="auto (mosquitto, else the embedded one), mosquitto or embedded.")
    ] = "auto",
) -> None:
    """Start broker, gateway, console and fifty live devices, and let them run until Ctrl-C."""
    from devicesim.playground.process import PlaygroundError
    from gateway.adapters.keys import KeyFileError
    from gateway.ports import StorageError
    from gateway.runtime.knock import NoGatewayError

    refused = (PlaygroundError, KeyFileError, StorageError, NoGatewayError)
    raise typer.Exit(guarded(lambda: _play(folder, port, speed, broker), "playground", refused))


def _play(folder: Path, port: int, speed: float | None, broker: str) -> int:
    import uvloop

    from devicesdk.aio.clock import RealClock
    from devicesim.playground.run import play

    teller = _Teller(folder)
    teller.say("starting broker, gateway and fleet ...")
    uvloop.run(
        play(folder, teller, port=port, speed=speed, broker=broker, wall_ms=RealClock().wall_ms)
    )
    teller.say("ended; start it again to go on where it stopped")
    return EXIT_HELD


class _Teller:
    """Prints what happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._devices = self._told = 0

    def say(self, words: str) -> None:
        """Print a line, at once."""
        typer.echo(words)

    def began(self, gateway: GatewayProcess, devices: int, kept: int) -> None:
        """Tell where everything is."""
        self._devices = devices
        folder = self._folder
        self.say(f"""
  console   {gateway.url}/console/
  token     {gateway.token_file}
  broker    {gateway.broker_url}
  bundles   {folder / "bundles"}  (signed, not published yet)
  keys      {folder / "keys"}  (no gateway sees targets.key)
  log       {folder / "gateway.log"}

  {devices} devices boot{f", {kept} of them as you left them" if kept else ""}.

  Next, in the console: Bundles, Publish a bundle, gauge-1.1.0.zip. Then Roll out.
  Or in another shell:  fleetdrill fleet list --state {folder / "gateway"}
  The whole walk:       docs/tutorials/serve-a-fleet.md
  Ctrl-C ends all of it.
""")

    def online(self, count: int) -> None:
        """Tell when everybody is there, once."""
        if count == self._devices and not self._told:
            self._told = count
            self.say(f"all {count} devices are online")

    def faulted(self, key: str, *, begins: bool, devices: int) -> None:
        """Tell what befalls the fleet."""
        if begins:
            self.say(f"{_PLAN.get(key, key)} ({devices} devices)")

    def ending(self) -> None:
        """Tell that it was heard."""
        self.say("ending: devices, gateway, broker ...")
