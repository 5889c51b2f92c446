"""``python -m bench.scenarios [NAME...]``: shipped scenarios at full size against their golden verdicts.

Decides what is compared: the verdict, the checks that failed and how each rollout ended, with
``scenarios/expected/NAME.json``. Each scenario runs in a process of its own, as many at once as there are processors,
and is one line when it is done::

    [ 7/62]   3 min  as expected  boot-loop      failed   1,000 devices   4.1 s  4 checks fail: ...

that is how many are done, how long ago the first began, whether the verdict is the golden one, and then
what was found: verdict, devices, seconds of processor time, the checks that failed. Below a line that is
not as expected stand what was expected and the command that runs it alone. A scenario that breaks does
not keep the others from running.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal, NamedTuple

from devicesim.rehearse import Rehearsal, open_scenario

ROOT: Final = Path(__file__).parents[1] / "scenarios"
EXPECTED: Final = ROOT / "expected"

Word = Literal["as expected", "UNEXPECTED", "SKIPPED", "BROKEN"]
WORDS: Final[tuple[Word, ...]] = ("as expected", "UNEXPECTED", "SKIPPED", "BROKEN")


class Outcome(NamedTuple):
    """What came of one scenario; `skipped` and `broken` say why there is no verdict."""

    name: str
    devices: int = 0
    cpu_s: float = 0.0
    verdict: str = ""
    failed: tuple[str, ...] = ()
    rollouts: tuple[tuple[str, str], ...] = ()
    skipped: str = ""
    broken: str = ""

    def word(self, expected: dict[str, Any]) -> Word:
        """How it compares with its golden file."""
        if self.broken:
            return "BROKEN"
        if self.skipped:
            return "SKIPPED"
        wanted = expected["rollouts"]
        same = (
            self.verdict == expected["verdict"]
            and sorted(self.failed) == sorted(expected["failed"])
            and {key: state for key, state in self.rollouts if key in wanted} == wanted
        )
        return "as expected" if same else "UNEXPECTED"

    def lines(self, expected: dict[str, Any], width: int) -> str:
        """For people: one line, and below it what else one needs to know."""
        word = self.word(expected)
        head = f"{word:<11}  {self.name:<{width}}"
        if word in {"SKIPPED", "BROKEN"}:
            return f"{head}  {self.skipped or self.broken}"
        told = f"{head}  {self.verdict:<6}  {self.devices:>6,} devices  {self.cpu_s:6.1f} s  {self._failing()}"
        if word == "as expected":
            return told.rstrip()
        found = dict(self.rollouts)
        return "\n".join(
            (
                told.rstrip(),
                f"    expected  {expected['verdict']}: {', '.join(expected['failed']) or 'no check fails'}",
                f"    rollouts  expected {expected['rollouts']}, found {found}",
                f"    again     fleetdrill run scenarios/{self.name}.yaml",
            )
        )

    def _failing(self) -> str:
        if not self.failed:
            return ""
        many = len(self.failed)
        return f"{many} check{'s fail' if many > 1 else ' fails'}: {', '.join(self.failed)}"


def run(name: str) -> Outcome:
    """Run one at full size."""
    from devicesdk.inference.source import SourceError

    file = ROOT / f"{name}.yaml"
    try:
        record = Rehearsal(open_scenario(file), file).run()
    except SourceError as error:
        if not golden(name).get("blueprints"):
            raise
        return Outcome(name, skipped=str(error))
    return Outcome(
        name,
        record.devices,
        record.cpu_s,
        record.verdict,
        tuple(sorted(check.name for check in record.checks if check.held is False)),
        tuple((rollout.id, rollout.state) for rollout in record.rollouts),
    )


def golden(name: str) -> dict[str, Any]:
    """The expected verdict of one scenario."""
    found: dict[str, Any] = json.loads((EXPECTED / f"{name}.json").read_text())
    return found


def main() -> int:
    """Run those that are named, or all; 1 when a verdict is not the expected one, or there is none."""
    known = sorted(file.stem for file in EXPECTED.glob("*.json"))
    names = sys.argv[1:] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"expected names in {EXPECTED}, found {', '.join(unknown)}", file=sys.stderr)
        return 2
    return 1 if _run_all(names, os.cpu_count() or 1) else 0


def _run_all(names: list[str], jobs: int) -> int:
    """Run them and tell each; returns how many were neither as expected nor skipped."""
    width, counts = max(map(len, names)), dict.fromkeys(WORDS, 0)
    print(f"{len(names)} scenarios at full size, {jobs} at a time; verdicts against {EXPECTED}")
    began, context = perf_counter(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, max_tasks_per_child=1) as pool:
        asked = {pool.submit(run, name): name for name in names}
        for done, future in enumerate(as_completed(asked), 1):
            error, name = future.exception(), asked[future]
            outcome = future.result() if error is None else Outcome(name, broken=repr(error))
            expected = golden(name)
            counts[outcome.word(expected)] += 1
            minutes = (perf_counter() - began) / 60
            place = f"[{done:>{len(str(len(names)))}}/{len(names)}] {minutes:3.0f} min"
            print(f"{place}  {outcome.lines(expected, width)}", flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items() if count))
    return counts["UNEXPECTED"] + counts["BROKEN"]


if __name__ == "__main__":
    sys.exit(main())
