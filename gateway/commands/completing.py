"""Words that a shell offers: ids of rollouts, experiments and devices, names of bundles, segments, flags, features.

Decides what is asked of the gateway while somebody types, and how long they wait. Leaves out how a shell is told
(``fleetdrill --install-completion``).

Rules: at most `WORDS_MAX` words, within `WAIT_S_MAX`; whatever goes wrong is silent, because somebody is in the middle of
a line; the gateway is the one that the line or the environment says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from gateway.client.way import Way

WORDS_MAX: Final = 50
WAIT_S_MAX: Final = 1.0
PAGES_MAX: Final = 20
_Words = Callable[[typer.Context, str], list[str]]


def _offered(look: Callable[[Way, str, dict[str, Any]], Iterable[str]]) -> _Words:
    """A completion of what `look` finds: given the way, what was typed, and the words before."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        found: list[str] = []

        def work() -> None:
            # The shell shows what is printed in the middle of a line: whatever it is, nothing is said.
            try:
                found.extend(_found(look, dict(context.params), incomplete))
            except BaseException:  # noqa: BLE001
                found.clear()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(WAIT_S_MAX)
        return [] if thread.is_alive() else found

    return complete


def _found(
    look: Callable[[Way, str, dict[str, Any]], Iterable[str]], said: dict[str, Any], incomplete: str
) -> list[str]:
    from gateway.client.reach import Where
    from gateway.commands.asking import way_to

    where = Where(
        url=said.get("url") or "",
        state=_path(said.get("state")),
        token_file=_path(said.get("token_file")),
        ca=_path(said.get("ca")),
        plain=bool(said.get("plain")),
    )
    way = way_to(where, WAIT_S_MAX)
    try:
        words = sorted(
            {word for word in look(way, incomplete, said) if word.startswith(incomplete)}
        )
    finally:
        way.close()
    return words[:WORDS_MAX]


def _path(said: Any) -> Path | None:
    return Path(said) if said else None


def _rollouts(way: Way, _: str, __: dict[str, Any]) -> Iterable[str]:
    from gateway.runtime import verbs

    page = way.page(verbs.PageRollouts(limit=WORDS_MAX, newest=True))
    return (view["id"] for view in page.found["rollouts"])


def _experiments(way: Way, _: str, __: dict[str, Any]) -> Iterable[str]:
    from gateway.runtime import verbs

    return (view["id"] for view in way.ask(verbs.ListExperiments()))


def _devices(way: Way, incomplete: str, _: dict[str, Any]) -> Iterable[str]:
    """Ids come in their order: pages are asked for until those that fit are over."""
    from gateway.client.way import each_page
    from gateway.runtime import verbs

    found: list[str] = []
    pages = each_page(way, verbs.ListDevices(limit=verbs.PAGE_DEVICES_MAX))
    for page in islice(pages, PAGES_MAX):
        ids = [view["id"] for view in page["devices"]]
        found += [name for name in ids if name.startswith(incomplete)]
        if len(found) >= WORDS_MAX or (ids and ids[-1] > incomplete + "\uffff"):
            break
    return found


def _bundles(way: Way, _: str, __: dict[str, Any]) -> Iterable[str]:
    from gateway.runtime import verbs

    page = way.page(verbs.ListBundles(limit=verbs.PAGE_DEVICES_MAX))
    return (view["name"] for view in page.found["bundles"])


def _segments(way: Way, _: str, __: dict[str, Any]) -> Iterable[str]:
    from gateway.runtime import verbs

    return (view["segment"] for view in way.ask(verbs.ListSegments()))


def _flags(way: Way, _: str, said: dict[str, Any]) -> Iterable[str]:
    from gateway.runtime import verbs

    wanted = said.get("segment")
    briefs = way.ask(verbs.ListSegments())
    return (flag for one in briefs if wanted in {None, one["segment"]} for flag in one["flags"])


def _features(way: Way, _: str, said: dict[str, Any]) -> Iterable[str]:
    """What can be killed: what flags and bundles are named for; to be revived: what is killed."""
    from gateway.runtime import verbs

    if said.get("revive"):
        killed: list[str] = way.ask(verbs.ListKills())["features"]
        return killed
    bundles = {name.partition("@")[0] for name in _bundles(way, "", said)}
    return [*_flags(way, "", {}), *sorted(bundles)]


def _cohorts(way: Way, _: str, __: dict[str, Any]) -> Iterable[str]:
    from gateway.runtime import verbs

    page = way.page(verbs.ShowDrift(limit=verbs.PAGE_DEVICES_MAX))
    return (view["name"] for view in page.found["cohorts"])


rollout_ids: Final = _offered(_rollouts)
experiment_ids: Final = _offered(_experiments)
device_ids: Final = _offered(_devices)
bundle_names: Final = _offered(_bundles)
segment_names: Final = _offered(_segments)
flag_names: Final = _offered(_flags)
feature_names: Final = _offered(_features)
cohort_names: Final = _offered(_cohorts)
