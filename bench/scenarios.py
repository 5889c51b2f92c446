"""``python -m bench.scenarios [NAME...]``: shipped scenarios at full size against their golden verdicts.

Each runs in a process of its own, as many at once as there are processors.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

from devicesim.rehearse import Rehearsal, open_scenario

ROOT: Final = Path(__file__).parents[1] / "scenarios"
EXPECTED: Final = ROOT / "expected"


class Outcome(NamedTuple):
    """What came of one scenario; `skipped` says why it did not run."""

    name: str
    devices: int
    cpu_s: float
    verdict: str
    failed: list[str]
    skipped: str = ""

    def line(self, expected: dict[str, object]) -> str:
        """For people."""
        word = "as expected" if self.same(expected) else "UNEXPECTED "
        if self.skipped:
            return f"SKIPPED      {self.name:<28} {self.skipped}"
        told = f"{self.verdict:<7} {self.devices:>6} devices  {self.cpu_s:6.1f} s"
        return f"{word}  {self.name:<28} {told}  {', '.join(self.failed)}"

    def same(self, expected: dict[str, object]) -> bool:
        """Whether it is what the golden file says."""
        wanted = expected["failed"]
        assert isinstance(wanted, list)
        return bool(self.skipped) or (self.verdict, self.failed) == (
            expected["verdict"], sorted(wanted),
        )  # fmt: skip


def run(name: str) -> Outcome:
    """Run one at full size."""
    from devicesdk.inference.source import SourceError

    file = ROOT / f"{name}.yaml"
    try:
        record = Rehearsal(open_scenario(file), file).run()
    except SourceError as error:
        if not golden(name).get("blueprints"):
            raise
        return Outcome(name, 0, 0.0, "", [], str(error))
    failed = sorted(check.name for check in record.checks if check.held is False)
    return Outcome(name, record.devices, record.cpu_s, record.verdict, failed)


def golden(name: str) -> dict[str, object]:
    """The expected verdict of one scenario."""
    found: dict[str, object] = json.loads((EXPECTED / f"{name}.json").read_text())
    return found


def main() -> int:
    """Run those that are named, or all; 1 when a verdict is not the expected one."""
    names = sys.argv[1:] or sorted(file.stem for file in EXPECTED.glob("*.json"))
    wrong = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(run, name) for name in names]):
            outcome = done.result()
            expected = golden(outcome.name)
            wrong += not outcome.same(expected)
            print(outcome.line(expected), flush=True)
    print(f"{len(names) - wrong} of {len(names)} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
