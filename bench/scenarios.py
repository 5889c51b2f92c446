"""``python -m bench.scenarios``: every shipped scenario at full size against its golden verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from devicesdk.inference.source import SourceError
from devicesim.rehearse import Rehearsal, open_scenario

ROOT = Path(__file__).parents[1] / "scenarios"


def main() -> int:
    """Run them all; 1 when a verdict is not the expected one."""
    wrong = 0
    for golden in sorted((ROOT / "expected").glob("*.json")):
        expected = json.loads(golden.read_text())
        file = ROOT / f"{golden.stem}.yaml"
        try:
            record = Rehearsal(open_scenario(file), file).run()
        except SourceError as error:
            if not expected.get("blueprints"):
                raise
            print(f"SKIPPED      {golden.stem}: {error}")
            continue
        failed = sorted(check.name for check in record.checks if check.held is False)
        same = record.verdict == expected["verdict"] and failed == sorted(expected["failed"])
        wrong += not same
        print(
            f"{'as expected' if same else 'UNEXPECTED '}  {golden.stem:<22} {record.verdict:<7} "
            f"{record.devices:>6} devices  {record.cpu_s:6.1f} s  {', '.join(failed)}"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
