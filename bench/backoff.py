"""``python -m bench.backoff``: how fleets of one back-off policy each come back after an outage.

Decides the table of docs/explanation/backoff.md: the fleet of scenarios/backoff-lab-jittered.yaml at
another size, every device with the policy of that line; the broker takes a fiftieth of the fleet a
second, so that 50 s is the least that anybody can do. Leaves out mixed fleets, which are the scenario
backoff-lab itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from devicesdk.agent.backoff_policies import POLICIES
from devicesdk.wire.timebase import NEVER
from devicesim.rehearse import Rehearsal, open_scenario
from devicesim.world.latencies import nearest_rank

FILE = Path(__file__).parents[1] / "scenarios" / "backoff-lab-jittered.yaml"
DEVICES = 4_000
LEAST_S = 50


def line(policy: str, devices: int, overload: str) -> str:
    """Rehearse one fleet, and spell its line of the table."""
    scenario = open_scenario(
        FILE,
        (
            f"scale={devices / DEVICES}",
            f"agent.backoff={policy}",
            f"broker.accept_rate={devices // LEAST_S}/s",
            f"broker.overload={overload}",
        ),
    )
    run = Rehearsal(scenario, FILE)
    record = run.run()
    meter = run.drill.meter
    away = record.devices - meter.online_count
    took = meter.sessions.reconnects.between()
    p50, p99 = (spelled(took, away, share) for share in (0.5, 0.99))
    wasted = meter.returns.wasted_per_device
    return (
        f"| {policy} | {POLICIES[policy].about} | {p50} | {p99} | {away:,} "
        f"| {meter.returns.peak:,} | {wasted:.0f} |"
    )


def spelled(took: list[int], away: int, share: float) -> str:
    """A percentile in seconds; who is away at the end counts as never."""
    found = nearest_rank(took + [NEVER] * away, share)
    return "never" if found is None or found == NEVER else f"{found / 1e9:.0f}"


def main() -> int:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m bench.backoff", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--overload", choices=("drop", "refuse", "queue"), default="drop")
    parser.add_argument("policies", nargs="*", default=list(POLICIES), help="by default all")
    said = parser.parse_args()
    print("| policy | waits | p50, s | p99, s | still away | peak, 1/s | wasted each |")
    print("|---|---|---|---|---|---|---|")
    for policy in said.policies:
        print(line(policy, said.devices, said.overload), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
