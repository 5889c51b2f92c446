"""Commands ``fleetdrill rollout ...``: plan, begin, look at and steer staged rollouts.

Decides options and words. Leaves out a plan's options (plans.py), looking while it goes on (watching.py), and what a
rollout is (gateway/core/control).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.commands.asking import EXIT_DONE, EXIT_REFUSED, Ask, Why, asks, changes, said_of
from gateway.commands.completing import rollout_ids
from gateway.commands.plans import with_plan
from gateway.commands.watching import UNTIL, look_on, watch
from gateway.commands.words import clock, instant, pairs_of, percent, table

if TYPE_CHECKING:
    from gateway.runtime.verbs import CreateRollout

rollout_app = typer.Typer(no_args_is_help=True, help="Start and steer staged rollouts.")
DEVICES_SHOWN: Final = 20
Name = Annotated[
    str,
    typer.Argument(metavar="ROLLOUT", help="Id of the rollout.", autocompletion=rollout_ids),
]
Wave = Annotated[
    int | None, typer.Option(help="The wave that was looked at, from 0; another is not meant.")
]


@rollout_app.command("create")
@changes
@with_plan
def create(ask: Ask, plan: CreateRollout) -> None:
    """Start a staged rollout."""
    ask.tell(ask.way.ask(plan), said_of)


@rollout_app.command("start")
@changes
@with_plan
def start(
    ask: Ask,
    plan: CreateRollout,
    *,
    until: Annotated[str, typer.Option(help=f"Leave when it is {UNTIL}.")] = "completed",
) -> int:
    """Start a staged rollout, and watch it until it ends."""
    found = ask.way.ask(plan)
    if "waits" in found:
        ask.tell(found, said_of)
        return EXIT_DONE
    return look_on(ask, plan.id, until)


rollout_app.command("watch")(watch)


@rollout_app.command("preview")
@asks
@with_plan
def preview(
    ask: Ask,
    plan: CreateRollout,
    *,
    at: Annotated[str, typer.Option(help="As at this instant; now by default.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many devices.")] = DEVICES_SHOWN,
) -> int:
    """A dry run: which devices would come in which wave, and who is left out and why."""
    from gateway.runtime import verbs

    found = ask.way.ask(verbs.PreviewRollout(plan=plan, at=at, limit=limit))
    ask.tell(found, _preview)
    return EXIT_REFUSED if found["refusal"] else EXIT_DONE


@rollout_app.command("list")
@asks
def rollouts(ask: Ask) -> None:
    """Show all rollouts and how far they are."""
    from gateway.client.way import each_page
    from gateway.runtime import verbs

    found = [one for page in each_page(ask.way, verbs.PageRollouts()) for one in page["rollouts"]]
    ask.tell(found, lambda found: "\n".join(map(rollout_text, found)) or "no rollouts")


@rollout_app.command("status")
@asks
def status(ask: Ask, name: Name) -> None:
    """Show one rollout: its plan, its waves, and what they weigh."""
    ask.tell(ask.do({"verb": "rollout.show", "rollout": name}), rollout_text)


def _steer(word: str, how: str, help_text: str) -> None:
    def steer(ask: Ask, name: Name) -> None:
        ask.change({"verb": "rollout.steer", "rollout": name, "how": how})

    rollout_app.command(word, help=help_text)(changes(steer))


for _word, _how, _help in (
    ("pause", "pause", "Offer nothing more, and let devices wait."),
    ("resume", "resume", "Go on after a pause."),
    ("retry", "retry", "Start a halted or aborted rollout once more, from its first wave."),
    ("next", "trigger-next", "Judge the open wave now, and open the next."),
):
    _steer(_word, _how, _help)


@rollout_app.command("abort")
@changes
def abort(
    ask: Ask,
    name: Name,
    *,
    revert: Annotated[
        bool, typer.Option("--revert/--keep", help="Take devices back, or leave them as they are.")
    ] = True,
) -> None:
    """End a rollout."""
    how = "abort-revert" if revert else "abort-keep"
    ask.change({"verb": "rollout.steer", "rollout": name, "how": how})


@rollout_app.command("approve")
@changes
def approve(ask: Ask, name: Name, *, wave: Wave = None, why: Why = "") -> None:
    """Let the wave open that waits for approval."""
    ask.change({"verb": "rollout.approve", "rollout": name, "wave": wave, "why": why})


@rollout_app.command("deny")
@changes
def deny(ask: Ask, name: Name, *, wave: Wave = None, why: Why = "") -> None:
    """End a rollout at the wave that waits for approval; who has the release keeps it."""
    ask.change({"verb": "rollout.deny", "rollout": name, "wave": wave, "why": why})


# -- words -----------------------------------------------------------------------------------------


def rollout_text(view: dict[str, Any]) -> str:
    """A rollout, its plan and its waves, for people."""
    plan = view["plan"]
    head = f"{view['id']}  {view['bundle']}  {view['state']}  {view['why']}".rstrip()
    shares = ", ".join(percent(share) for share in plan["waves"])
    chosen = pairs_of(plan["selector"]) or "all devices"
    lines = [
        head,
        (
            f"  plan: {shares} of {chosen}; on a halt {plan['on_halt']}; up to {percent(plan['failures'])} may "
            f"fail, halts past an e-value of {plan['evidence']:g}"
        ),
    ]
    for place, wave in enumerate(view["waves"]):
        lines.append(
            f"  wave {place}: {wave['size']} devices, {wave['committed']} committed, "
            f"{wave['failed']} failed, {wave['rolled_back']} rolled back, "
            f"{wave['unreached']} not reached, e-value {wave['e_value']:.3g}, opened "
            f"{clock(wave['opened_ms'])}  {wave['verdict']}".rstrip()
        )
    if view["approval"] is not None:
        lines.append(f"  wave {view['approval']} waits: fleetdrill rollout approve {view['id']}")
    if view["late"]:
        lines.append(f"  {view['late']} joined late and wait")
    return "\n".join(lines)


def _preview(found: dict[str, Any]) -> str:
    if found["refusal"]:
        return f"would not run: {found['refusal']}"
    lines = [f"would start {instant(found['starts_at_ns'] // 1_000_000)}"]
    lines += [f"would end the rollout {name}" for name in found["ends"]]
    lines += [_wave_text(wave) for wave in found["waves"]]
    lines += [f"left out: {count}, {why}" for why, count in found["left_out"].items()]
    rows = [
        (one["id"], "-" if one["wave"] < 0 else str(one["wave"]), one["why"])
        for one in found["devices"]
    ]
    more = ["more: --limit"] if found["next"] else []
    return "\n".join([*lines, "", table(("device", "wave", ""), rows, "no devices"), *more])


def _wave_text(wave: dict[str, Any]) -> str:
    words = [f"wave {wave['index']}: {wave['size']} devices ({percent(wave['share'])})"]
    if wave["at_once"]:
        words.append(f"{wave['at_once']} at once")
    words += [f"{count} wait for {what}" for what, count in wave["waiting"].items()]
    if wave["approval"]:
        words.append("waits for somebody to approve")
    return ", ".join(words)
