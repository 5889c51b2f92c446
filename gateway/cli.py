"""Commands of the gateway: `gateway serve`, and what operators say to one that runs.

Decides options, exit codes and what goes to which stream: results to standard output, errors and logs
to standard error. Leaves out all work (runtime/serve.py, runtime/verbs.py). Commands talk to the
gateway of a state folder through its door, so they work where its files are, as its owner.

Exit codes: 0 done; 1 the gateway refused; 2 an argument, file or configuration is invalid; 3 the
gateway itself failed; 5 no gateway answers (or is too busy) and asking again may help.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from devicesdk.bundle.manifest import Manifest

EXIT_DONE, EXIT_REFUSED, EXIT_INVALID, EXIT_BROKEN = range(4)
EXIT_AWAY: Final = 5
STATE: Final = Path("fleetdrill-state")
_CODES: Final = {
    "invalid": EXIT_INVALID,
    "unknown": EXIT_INVALID,
    "refused": EXIT_REFUSED,
    "forbidden": EXIT_REFUSED,
    "exists": EXIT_REFUSED,
    "broken": EXIT_BROKEN,
}

State = Annotated[Path, typer.Option("--state", help="State folder of the gateway.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
RolloutName = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Id of the rollout.")]

gateway_app = typer.Typer(no_args_is_help=True, help="Run the gateway.")
bundle_app = typer.Typer(no_args_is_help=True, help="Publish model bundles.")
rollout_app = typer.Typer(no_args_is_help=True, help="Start and steer staged rollouts.")
flag_app = typer.Typer(no_args_is_help=True, help="Set feature flags.")
fleet_app = typer.Typer(no_args_is_help=True, help="Look at devices, and enrol them.")


def register(app: typer.Typer) -> None:
    """Add the gateway's commands."""
    app.add_typer(gateway_app, name="gateway")
    _join(app, bundle_app, "bundle")
    app.add_typer(rollout_app, name="rollout")
    app.add_typer(flag_app, name="flag")
    app.add_typer(fleet_app, name="fleet")
    app.command()(kill)
    from gateway import access_cli, audit_cli, backup_cli, debug_cli, experiment_cli, rehearsal_cli

    gateway_app.add_typer(experiment_cli.experiment_app, name="experiment")
    gateway_app.add_typer(debug_cli.debug_app, name="debug")
    access_cli.register(app)
    app.add_typer(audit_cli.audit_app, name="audit")
    backup_cli.register(gateway_app)
    rehearsal_cli.register(rollout_app)


def _join(app: typer.Typer, group: typer.Typer, name: str) -> None:
    """Add a group, or its commands to the group of that name which another part has made."""
    for there in app.registered_groups:
        made = there.typer_instance
        if made is not None and name in (there.name, made.info.name):
            made.registered_commands += group.registered_commands
            return
    app.add_typer(group, name=name)


# -- the gateway -----------------------------------------------------------------------------------


@gateway_app.command("serve")
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
    raise typer.Exit(_guarded(lambda: _serve(state, config, broker, json_logs)))


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


# -- bundles ---------------------------------------------------------------------------------------


@bundle_app.command("publish")
def publish(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Archive, or folder with bundle.json.")
    ],
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            help="targets.key; it is not given to the gateway. An archive that is signed needs none."
        ),
    ] = None,
    delta: Annotated[
        bool, typer.Option("--delta/--no-delta", help="Make deltas from older releases.")
    ] = True,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Sign a bundle, store its blobs and register it."""

    def work() -> Any:
        from gateway.adapters.blobs import FileBlobs
        from gateway.runtime import verbs
        from gateway.runtime.knock import knock
        from gateway.runtime.publishing import PublishedDelta, make_deltas
        from gateway.service import BLOBS_FOLDER

        manifest, digest, blobs = _sealed(bundle, key)
        knock(state, verbs.Overview())  # before anything is written: is there a gateway?
        store = FileBlobs(state / BLOBS_FOLDER)
        for blob in blobs.values():
            store.put(blob)
        deltas: tuple[PublishedDelta, ...] = ()
        if delta:
            older = knock(state, verbs.ListReleases(bundle=manifest.id))
            images = {variant.name: blobs[variant.image.raw] for variant in manifest.variants}
            deltas = make_deltas(manifest, images, older, store.read, store.put)
        return knock(state, verbs.PublishBundle(digest=digest.hex(), deltas=deltas))

    _ask(work, as_json=as_json, show=lambda found: f"{found['bundle']} {found['digest']}")


def _sealed(bundle: Path, key: Path | None) -> tuple[Manifest, bytes, dict[bytes, bytes]]:
    """A bundle's manifest, the digest of its envelope, signed now or by its builder, and all blobs."""
    from devicesdk.bundle.archive import SIGNATURE_FILE, file_reader
    from devicesdk.bundle.build import build_bundle, with_envelope
    from devicesdk.bundle.source import read_release
    from devicesdk.bundle.trust import ROLE_TARGETS
    from gateway.adapters.keys import key_file, read_signer

    members = _members(bundle) if bundle.is_file() else {}
    release = read_release(file_reader(members) if members else reader(bundle))
    built = build_bundle(*release)
    if key is not None:
        expected = key_file(key.parent, ROLE_TARGETS)
        if key.name != expected.name:
            raise ValueError(f"expected the targets key, {expected}, found {key}")
        signer = read_signer(key.parent, ROLE_TARGETS)
        return built.manifest, *built.sealed(signer)
    envelope = members.get(SIGNATURE_FILE)
    if envelope is None:
        raise ValueError(f"expected --key, or an archive that is signed, found {bundle} unsigned")
    return built.manifest, *with_envelope(*release, envelope)


def _members(archive: Path) -> dict[str, bytes]:
    from devicesdk.bundle.archive import ARCHIVE_BYTES_MAX, unpack

    with archive.open("rb") as file:
        return unpack(file.read(ARCHIVE_BYTES_MAX + 1))


def reader(directory: Path) -> Callable[[str, int], bytes]:
    """Read files of a bundle's folder by name, each up to a size."""

    def read(name: str, bytes_max: int) -> bytes:
        try:
            with (directory / name).open("rb") as file:
                return file.read(bytes_max)
        except OSError as error:
            raise ValueError(
                f"expected a bundle's file {directory / name}, found: {error.strerror}"
            ) from error

    return read


# -- rollouts --------------------------------------------------------------------------------------


@rollout_app.command("create")
def create(
    name: RolloutName,
    *,
    bundle: Annotated[str, typer.Option(help="What to roll out: id@version.")],
    waves: Annotated[
        str, typer.Option(help="Cumulative shares in percent, rising to 100.")
    ] = "1,10,25,100",
    soak: Annotated[str, typer.Option(help="Between a wave's quorum and its verdict.")] = "20m",
    jitter: Annotated[str, typer.Option(help="Devices spread their start over this.")] = "1m",
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only devices with it; repeatable."),
    ] = None,
    on_halt: Annotated[str, typer.Option(help="hold or revert.")] = "revert",
    factory: Annotated[
        bool, typer.Option("--factory", help="Devices run it already: offer nothing.")
    ] = False,
    delta: Annotated[
        bool, typer.Option("--delta/--no-delta", help="Let devices fetch deltas where they can.")
    ] = True,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Start a staged rollout."""

    def work() -> Any:
        import msgspec

        from gateway.runtime import verbs

        said = {
            "verb": "rollout.create", "id": name, "bundle": bundle, "soak": soak, "jitter": jitter,
            "waves": [float(share) / 100 for share in waves.split(",")],
            "selector": _pairs(label), "on_halt": on_halt, "initial": factory,
            "delta": delta,
        }  # fmt: skip
        return _knock(state, msgspec.convert(said, verbs.CreateRollout))

    _ask(work, as_json=as_json, show=_said)


@rollout_app.command("list")
def rollouts(*, state: State = STATE, as_json: AsJson = False) -> None:
    """Show all rollouts and how far they are."""

    def show(found: list[dict[str, Any]]) -> str:
        lines = []
        for view in found:
            lines.append(f"{view['id']}  {view['bundle']}  {view['state']}  {view['why']}".rstrip())
            for place, wave in enumerate(view["waves"]):
                lines.append(
                    f"  wave {place}: {wave['size']} devices, {wave['committed']} committed, "
                    f"{wave['failed']} failed, {wave['rolled_back']} rolled back, "
                    f"{wave['unreached']} not reached  {wave['verdict']}".rstrip()
                )
        return "\n".join(lines) or "no rollouts"

    def work() -> Any:
        from gateway.runtime import verbs

        return _knock(state, verbs.ListRollouts())

    _ask(work, as_json=as_json, show=show)


def _steer(how: str, help_text: str) -> None:
    def steer(name: RolloutName, *, state: State = STATE, as_json: AsJson = False) -> None:
        _ask(lambda: _steered(state, name, how), as_json=as_json, show=_said)

    rollout_app.command(how, help=help_text)(steer)


for _how, _help in (
    ("pause", "Offer nothing more, and let devices wait."),
    ("resume", "Go on after a pause."),
    ("retry", "Start a halted or aborted rollout once more, from its first wave."),
):
    _steer(_how, _help)


@rollout_app.command("abort")
def abort(
    name: RolloutName,
    *,
    revert: Annotated[
        bool, typer.Option("--revert/--keep", help="Take devices back, or leave them as they are.")
    ] = True,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """End a rollout."""
    how = "abort-revert" if revert else "abort-keep"
    _ask(lambda: _steered(state, name, how), as_json=as_json, show=_said)


def _steered(state: Path, name: str, how: str) -> Any:
    import msgspec

    from gateway.runtime import verbs

    said = {"verb": "rollout.steer", "rollout": name, "how": how}
    return _knock(state, msgspec.convert(said, verbs.SteerRollout))


@flag_app.command("set")
def flag_set(
    segment: Annotated[str, typer.Argument(help="Segment of devices, such as all.")],
    flag: Annotated[str, typer.Argument(help="Name of the flag.")],
    definition: Annotated[str, typer.Argument(help="flagd flag definition, JSON.")],
    *,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Set one flag of a segment."""

    def work() -> Any:
        import msgspec

        from gateway.runtime import verbs

        value = msgspec.json.decode(definition, type=dict[str, Any])
        return _knock(state, verbs.SetFlag(segment=segment, flag=flag, definition=value))

    _ask(work, as_json=as_json, show=_said)


def kill(
    feature: Annotated[str, typer.Argument(help="Feature to kill on all devices.")],
    *,
    revive: Annotated[bool, typer.Option("--revive", help="Let it run again.")] = False,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Kill a feature on all devices, now."""

    def work() -> Any:
        from gateway.runtime import verbs

        return _knock(state, verbs.Kill(feature=feature, alive=revive))

    _ask(work, as_json=as_json, show=_said)


# -- the fleet -------------------------------------------------------------------------------------


@fleet_app.command("list")
def devices(
    *,
    after: Annotated[str, typer.Option(help="Start after this device.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """List devices."""

    def show(found: dict[str, Any]) -> str:
        lines = [
            f"{view['id']}  {'online ' if view['online'] else 'offline'}  {view['state']}  "
            f"{view['running'][:12] or '-'}  {view['outcome'] or '-'}"
            for view in found["devices"]
        ]
        if found["next"]:
            lines.append(f"more: --after {found['next']}")
        return "\n".join(lines) or "no devices"

    def work() -> Any:
        from gateway.runtime import verbs

        return _knock(state, verbs.ListDevices(after=after, limit=limit))

    _ask(work, as_json=as_json, show=show)


@fleet_app.command("show")
def device(
    name: Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="One device.")] = None,
    *,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Show one device, or the fleet at a glance."""

    def work() -> Any:
        from gateway.runtime import verbs

        verb = verbs.Overview() if name is None else verbs.ShowDevice(device=name)
        return _knock(state, verb)

    def show(found: dict[str, Any]) -> str:
        values = found if name is not None else found["fleet"]
        return "\n".join(f"{key:18} {value}" for key, value in values.items())

    _ask(work, as_json=as_json, show=show)


@fleet_app.command("enroll")
def enroll(
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="Device id.")],
    *,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label; repeatable.")
    ] = None,
    state: State = STATE,
    as_json: AsJson = False,
) -> None:
    """Take a device into the registry, or change its labels."""

    def work() -> Any:
        from gateway.runtime import verbs

        return _knock(state, verbs.EnrollDevice(device=name, labels=_pairs(label)))

    _ask(work, as_json=as_json, show=_said)


# -- all of them -----------------------------------------------------------------------------------


def _knock(state: Path, verb: Any) -> Any:
    from gateway.runtime.knock import knock

    return knock(state, verb)


def _pairs(words: list[str] | None) -> dict[str, str]:
    pairs = {}
    for word in words or []:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise ValueError(f"expected a label as KEY=VALUE, found {word!r}")
        pairs[key] = value
    return pairs


def _said(found: dict[str, Any]) -> str:
    return "\n".join(found["said"]) or "done"


def _ask(work: Callable[[], Any], *, as_json: bool, show: Callable[[Any], str]) -> None:
    """Do it, print what came of it, and exit."""

    def all_of_it() -> int:
        found = work()
        typer.echo(json.dumps(found) if as_json else show(found))
        return EXIT_DONE

    raise typer.Exit(_guarded(all_of_it))


def _guarded(work: Callable[[], int]) -> int:
    """Turn errors into a message on standard error and an exit code."""
    from gateway.adapters.brokers.process import BrokerError
    from gateway.adapters.keys import KeyFileError
    from gateway.ports import StorageError
    from gateway.runtime.knock import NoGatewayError
    from gateway.runtime.verbs import VerbError

    try:
        return work()
    except VerbError as error:
        return _complain(error, _CODES.get(error.code, EXIT_AWAY))
    except NoGatewayError as error:
        return _complain(error, EXIT_AWAY)
    except (ValueError, OSError, BrokerError, KeyFileError, StorageError) as error:
        return _complain(error, EXIT_INVALID)
    except KeyboardInterrupt:
        return EXIT_DONE
    except Exception as error:  # noqa: BLE001 - the last resort: say that it is our fault
        import traceback

        traceback.print_exc(file=sys.stderr)
        _complain(error, EXIT_BROKEN)
        return EXIT_BROKEN


def _complain(error: Exception, code: int) -> int:
    typer.echo(f"fleetdrill: {error}", err=True)
    return code
