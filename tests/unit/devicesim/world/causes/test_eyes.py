import pytest

from devicesim.scenario import load
from devicesim.world.assemble import Stock, assemble
from devicesim.world.causes.book import CauseBook
from devicesim.world.causes.eyes import ATTEMPT, DARK, CausalStage, Eyes
from devicesim.world.causes.kernel import CausalKernel
from devicesim.world.drill import Drill
from tests_kit import worlds

TEXT = worlds.scenario_text(
    "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 15m, waves: ['20%', '100%'], soak: 1m}]\n"
    "timeline:\n"
    "  - {at: 20m, for: 5m, do: power.cut, target: 'share(all, 0%..50%)'}\n"
    "  - {at: 30m, for: 5m, do: broker.restart}\n"
    "  - {at: 40m, for: 10m, do: partition, target: all}\n"
    "  - {at: 45m, for: 1m, do: gateway.crash}\n",
    count=12,
    duration="1h",
)


@pytest.fixture(scope="module")
def watched():
    profiles, links = worlds._files()
    book = CauseBook()
    world = assemble(
        load(TEXT, (), None),
        Stock(profiles, links, worlds._sources(TEXT)),
        kernel=CausalKernel(book),
        stage=CausalStage(book),
    )
    drill = Drill(world)
    Eyes(world, book)
    return drill, book, world.run()


def test_a_run_that_is_watched_is_the_same_run(watched):
    drill, _, digest = watched
    plain = worlds.make_drill(TEXT)
    assert plain.world.run() == digest
    assert plain.world.kernel.events == drill.world.kernel.events


def test_every_device_traces_its_loss_back_to_the_partition(watched):
    drill, book, _ = watched
    for host in drill.world.hosts:
        lost = [m for m in book.of(host.index, 0, 10**18) if m.kind == "disconnected"]
        chain = [moment.kind for moment in book.chain(lost[-1].node)]
        assert chain[:2] == ["fault begin partition", DARK], (host.device, chain)


def test_the_reasons_that_the_trace_leaves_out_are_kept(watched):
    _, book, _ = watched
    failed = [m for i in range(12) for m in book.of(i, 0, 10**18) if m.kind == "connect failed"]
    assert {moment.words for moment in failed} <= {"refused", "no carrier", "server busy", "reset"}
    assert any(moment.words == "refused" for moment in failed), (
        "the broker was away for five minutes"
    )


def test_a_back_off_is_the_cause_of_the_attempt_that_it_puts_off(watched):
    _, book, _ = watched
    for index in range(12):
        for moment in book.of(index, 0, 10**18):
            chain = book.chain(moment.node)
            if moment.kind == ATTEMPT and len(chain) > 1:
                assert chain[-2].kind in ("back_off", "bearer"), [one.kind for one in chain]


def test_an_offer_traces_back_to_its_rollout(watched):
    drill, book, _ = watched
    offers = [m for m in book.of(-1, 0, 10**18) if m.kind == "device.offer"]
    assert {one.words for one in offers} == {host.device for host in drill.world.hosts}
    for offer in offers:
        assert book.chain(offer.node)[0].kind == "rollout.created"
