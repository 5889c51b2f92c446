"""A take is the run."""

import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.console.memory import Memory
from devicesim.console.past import Past
from devicesim.console.runs import open_run
from devicesim.console.take import Take
from devicesim.console.tape import Tape
from tests_kit.console_on_run import small_run
from tests_kit.worlds import ROLLOUT

HARD = ROLLOUT + "buggify: {fire: 30%, activate: 100%}\n"


@pytest.mark.parametrize("rest", [ROLLOUT, HARD], ids=["plain", "hard"])
def test_stopping_here_and_there_leaves_it_the_same_run(tmp_path, rest):
    run = open_run(small_run(tmp_path, rest))
    take = Take(run, tape := Tape(), Past(run.end_ns), Memory(run.start_ms))
    for at in (0, 17, 3 * SECOND, 40 * MINUTE, 40 * MINUTE + 1, run.end_ns):
        take.run(at, lambda _: None)
        assert take.now == at
    assert take.close() == run.kept.trace_digest, "expected the run's own digest"
    tape.close()


def test_it_counts_what_the_gateway_sent(finished):
    run = open_run(finished)
    take = Take(run, tape := Tape(), Past(run.end_ns), Memory(run.start_ms))
    take.run(29 * MINUTE, lambda _: None)
    take.count()
    assert (take.counters.rounds, take.counters.bytes_out) == (0, 0), "no rollout yet"
    assert take.counters.connected_now == 1
    take.run(run.end_ns, lambda _: None)
    take.count()
    frames = take.counters.messages_out["dat"]
    image = max(v.image.size_bytes for b in take.gateway.core.control.bundles.values() for v in b.manifest.variants)  # fmt: skip
    assert 0 < take.counters.rounds <= frames
    assert image < take.counters.bytes_out < 5 * 3 * image
    assert take.wall_ms == run.start_ms + 7_200_000
    tape.close()
