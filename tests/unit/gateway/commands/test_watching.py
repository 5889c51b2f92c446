"""What one sees of a rollout: a line, a picture, and when one leaves."""

import pytest
from rich.console import Console

from gateway.commands import live
from gateway.commands.watching import line_of, reached

WAVE = {
    "share": 0.1, "size": 10, "offered": 10, "exposed": 4, "committed": 3, "failed": 1, "rolled_back": 0,
    "rejected": 0, "superseded": 0, "stopped": 0, "reverted": 0, "unreached": 6, "e_value": 4.0,
    "verdict": "", "staged": 0, "opened_ms": 1_700_000_000_000, "closed_ms": 0,
}  # fmt: skip
PLAN = {
    "waves": [0.1, 1.0], "selector": {}, "soak_s": 60.0, "failures": 0.02, "evidence": 20.0, "quorum": 0.9,
    "on_halt": "revert",
}  # fmt: skip
VIEW = {
    "id": "spring", "bundle": "gauge@1.1.0", "state": "running", "why": "", "waves": [WAVE], "plan": PLAN,
    "approval": None, "late": 0,
}  # fmt: skip


def drawn(view, seen=(), trouble=""):
    console = Console(width=80, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: PTH123, SIM115
    console.print(live.drawn(view, list(seen), trouble))
    console.file.close()
    return console.export_text()


def test_a_line_says_wave_counts_and_evidence():
    assert line_of(VIEW) == (
        "spring running; wave 0: 3 committed, 1 failed, 6 not reached of 10; e-value 4"
    )
    assert line_of({**VIEW, "waves": [], "why": "no\nbundle"}) == "spring running; no�bundle"


@pytest.mark.parametrize(
    ("state", "approval", "until", "there"),
    [
        ("running", None, "running", True), ("running", None, "completed", False),
        ("halted", None, "ended", True), ("paused", None, "ended", False),
        ("running", 1, "approval", True), ("running", None, "approval", False),
    ],
)  # fmt: skip
def test_when_one_leaves(state, approval, until, there):
    assert reached({**VIEW, "state": state, "approval": approval}, until) is there


def test_a_picture_fits_eighty_columns_and_shows_what_is_to_come():
    shown = drawn(VIEW, [0.0, 1.0, 3.0])
    assert max(map(len, shown.splitlines())) <= 80
    assert "3/10" in shown
    assert "22:13:20" in shown
    assert "100 %" in shown
    assert "halts past an e-value of 20" in " ".join(shown.replace("│", "").split())
    assert "committed" in shown
    assert "…" not in shown, "nothing is cut"


def test_a_picture_says_who_has_to_approve_and_what_is_wrong():
    shown = drawn({**VIEW, "approval": 1, "why": "[red]no markup[/]"}, trouble="nobody answers")
    assert "wave 1 waits: fleetdrill rollout approve spring" in shown
    assert "[red]no markup[/]" in shown
    assert "nobody answers" in shown


def test_large_numbers_fit_too():
    wave = {**WAVE, "size": 10_000, "committed": 9_999, "failed": 321, "e_value": 12.345, "verdict": "failures tipped it"}  # fmt: skip
    shown = drawn({**VIEW, "waves": [wave, wave]}, [1.0, 2.0])
    assert "9999/10000" in shown
    assert "12.3" in shown


def test_a_state_is_drawn_when_it_comes():
    console = Console(width=80, record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: PTH123, SIM115
    with live.picture(console) as (draw, trouble):
        trouble("nobody answers")
        draw(VIEW)
        trouble("away")
        draw({**VIEW, "state": "completed"})
    console.file.close()
    shown = console.export_text()
    assert "nobody answers" in shown
    assert "completed" in shown
