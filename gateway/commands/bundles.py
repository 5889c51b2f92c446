"""Commands ``fleetdrill bundle publish|list|show``.

Decides options and what is told while blobs are sent. Leaves out signing (sealing.py), sending (gateway/client) and
deltas (gateway/runtime/publishing.py).

Rules: nothing is sent before it is known that a gateway is there and lets one publish; what it has already is not
sent again, so an interrupted command is simply given again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.asking import Ask, asks, changes
from gateway.commands.completing import bundle_names
from gateway.commands.sealing import sealed
from gateway.commands.words import digest, facts, size, table

if TYPE_CHECKING:
    from devicesdk.bundle.manifest import Manifest
    from gateway.client.way import Told
    from gateway.runtime.publishing import PublishedDelta

bundle_app = typer.Typer(no_args_is_help=True, help="Publish model bundles.")


@bundle_app.command("publish")
@changes
def publish(
    ask: Ask,
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Archive, or folder with bundle.json.")
    ],
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            help="targets.key; it is not given to the gateway. What is signed already needs none."
        ),
    ] = None,
    delta: Annotated[
        bool, typer.Option("--delta/--no-delta", help="Make deltas from older releases.")
    ] = True,
) -> None:
    """Sign a bundle, hand its blobs to the gateway and register it."""
    from gateway.runtime import verbs

    manifest, envelope, blobs = sealed(bundle, key)
    older = ask.way.ask(verbs.ListReleases(bundle=manifest.id))
    with _progress(manifest.name, sum(map(len, blobs.values()))) as told:
        for blob in blobs.values():
            ask.way.store(blob, told)
    deltas = _deltas(ask, manifest, blobs, older) if delta else ()
    found = ask.way.ask(verbs.PublishBundle(digest=envelope.hex(), deltas=deltas))
    ask.tell(found, _published)


def _deltas(
    ask: Ask, manifest: Manifest, blobs: dict[bytes, bytes], older: list[dict[str, Any]]
) -> tuple[PublishedDelta, ...]:
    """Make and store the deltas from older releases to this one."""
    from gateway.runtime.publishing import make_deltas

    images = {variant.name: blobs[variant.image.raw] for variant in manifest.variants}
    return make_deltas(
        manifest, images, older, ask.way.read, lambda blob: ask.way.store(blob, _nobody)
    )


@bundle_app.command("list")
@asks
def bundles(ask: Ask) -> None:
    """Show all bundles that the gateway knows."""
    from gateway.client.way import each_page
    from gateway.runtime import verbs

    found = [one for page in each_page(ask.way, verbs.ListBundles()) for one in page["bundles"]]

    def show(found: list[dict[str, Any]]) -> str:
        head = ("bundle", "release", "task", "variants", "digest")
        rows = [
            (b["name"], b["release"], b["task"], len(b["variants"]), digest(b["digest"]))
            for b in found
        ]
        return table(head, rows, "no bundles")

    ask.tell(found, show)


@bundle_app.command("show")
@asks
def bundle(
    ask: Ask,
    name: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE", help="id@version, or digest.", autocompletion=bundle_names
        ),
    ],
) -> None:
    """Show one bundle with its variants."""

    def show(found: dict[str, Any]) -> str:
        head = ("variant", "image", "memory", "digest", "hardware")
        rows = [
            (
                v["name"],
                size(v["image_bytes"]),
                f"{v['memory_mib']} MiB",
                digest(v["image"]),
                " ".join(v["hardware"]),
            )
            for v in found["variants"]
        ]
        shown = {name: value for name, value in found.items() if name != "variants"}
        return facts(shown) + "\n\n" + table(head, rows)

    ask.tell(ask.do({"verb": "bundle.show", "bundle": name}), show)


def _published(found: dict[str, Any]) -> str:
    if "bundle" not in found:
        return "\n".join(found["said"])
    return f"{found['bundle']} {found['digest']}"


def _nobody(_: int) -> None:
    """Nobody looks."""


@contextmanager
def _progress(what: str, whole: int) -> Iterator[Told]:
    """A bar on standard error while bytes are sent; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield _nobody
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=whole)
        advance: Callable[[int], None] = lambda count: bar.advance(task, count)  # noqa: E731
        yield advance
