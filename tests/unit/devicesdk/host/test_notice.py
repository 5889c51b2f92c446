"""What is posted for programs on a device, and how old it is."""

from __future__ import annotations

from devicesdk.agent.agent import Agent
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.snapshot import DebugMode, State, encode_state
from devicesdk.agent.stimuli import Arrived, Booted, Conditions
from devicesdk.host.notice import NOTICE_FILE, STAMP_PERIOD_NS, Board, NoticeFile
from devicesdk.wire.timebase import SECOND
from tests_kit.agent_bundles import VERIFIER, flags_of, identity_of

DOCUMENT = (
    b'{"flags": {"x": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}}}'
)


class Hands:
    """A clock that somebody turns."""

    def __init__(self, wall_ms=1_700_000_000_000):
        self.at, self.start_ms = 0, wall_ms

    def now(self):
        return self.at

    def wall_ms(self):
        return self.start_ms + self.at // 1_000_000

    def wait_s(self, instant):
        return max(0.0, (instant - self.at) / SECOND)


def agent_with(state=None):
    raw = None if state is None else encode_state(state)
    agent = Agent.restore(AgentConfig(), identity_of(None), VERIFIER, 7, raw, None)
    agent.handle(Booted(1, None, False, Conditions()), 0)
    return agent


def board_at(path, clock):
    return Board(path / NOTICE_FILE, identity_of(None), "all", clock)


def come_online(agent):
    agent._shared.online = True


def test_a_reader_finds_what_is_in_force_and_who_the_device_is(tmp_path):
    clock, agent = (
        Hands(),
        agent_with(State(flags_rev=4, flags=DOCUMENT, kill_version=2, killed=("y",))),
    )
    board = board_at(tmp_path, clock)
    board.follow(agent)
    sight = NoticeFile(tmp_path, clock).look()
    assert sight is not None
    notice = sight.notice
    assert notice == board.look().notice
    assert (notice.device, notice.segment) == (identity_of(None).device, "all")
    assert (notice.flags_rev, notice.document) == (4, DOCUMENT)
    assert (notice.kill_version, notice.killed) == (2, ("y",))


def test_a_device_that_was_never_in_contact_is_as_old_as_can_be(tmp_path):
    clock, agent = Hands(), agent_with()
    board_at(tmp_path, clock).follow(agent)
    sight = NoticeFile(tmp_path, clock).look()
    assert sight.age_s > 10 * 365 * 86_400, "a boot without a connection counted as contact"


def test_the_age_counts_from_the_last_moment_online(tmp_path):
    clock, agent = Hands(), agent_with()
    board, reader = board_at(tmp_path, clock), NoticeFile(tmp_path, clock)
    come_online(agent)
    board.follow(agent)
    assert reader.look().age_s == board.look().age_s == 0
    clock.at += STAMP_PERIOD_NS
    board.follow(agent)
    assert reader.look().age_s == 0, "still online: the stamp was not renewed"
    agent._shared.online = False
    board.offline()
    clock.at += 100 * SECOND
    board.follow(agent)
    assert reader.look().age_s == 100.0


def test_an_earlier_process_contact_is_remembered(tmp_path):
    clock, agent = Hands(), agent_with()
    come_online(agent)
    board_at(tmp_path, clock).follow(agent)
    clock.at += 50 * SECOND
    again = board_at(tmp_path, clock)
    again.follow(agent_with())
    assert again.look().age_s == NoticeFile(tmp_path, clock).look().age_s == 50.0


def test_nothing_is_written_while_nothing_changes(tmp_path):
    clock, agent = Hands(), agent_with()
    board = board_at(tmp_path, clock)
    board.follow(agent)
    before = board.path.stat().st_ino
    for _ in range(5):
        clock.at += SECOND
        board.follow(agent)
    assert board.path.stat().st_ino == before
    agent.handle(Arrived("flags", flags_of(1, DOCUMENT)), clock.at)
    board.follow(agent)
    assert NoticeFile(tmp_path, clock).look().notice.flags_rev == 1


def test_half_a_notice_is_none(tmp_path):
    clock, reader = Hands(), NoticeFile(tmp_path, Hands())
    assert reader.look() is None
    board = board_at(tmp_path, clock)
    board.follow(agent_with(State(flags_rev=1, flags=DOCUMENT)))
    assert reader.look() is not None
    (tmp_path / NOTICE_FILE).write_bytes((tmp_path / NOTICE_FILE).read_bytes()[:20])
    assert reader.look() is None
    (tmp_path / NOTICE_FILE).write_bytes(b"")
    assert reader.look() is None


def test_a_disk_that_refuses_stops_no_device(tmp_path, caplog):
    clock = Hands()
    board = Board(tmp_path / "missing" / "deep", identity_of(None), "all", clock)
    board.follow(agent_with())
    assert "unwritten" in caplog.text
    assert board.look() is not None, "programs in the same process need no file"


def test_a_clock_set_back_makes_nothing_younger_than_new(tmp_path):
    clock, agent = Hands(), agent_with()
    come_online(agent)
    board_at(tmp_path, clock).follow(agent)
    assert NoticeFile(tmp_path, Hands(wall_ms=1_000)).look().age_s == 0


def test_debug_mode_is_posted_when_it_begins_and_taken_back_when_it_ends(tmp_path):
    clock, agent = Hands(), agent_with()
    board = board_at(tmp_path, clock)
    board.follow(agent)
    assert board.notice.debug_until_ms == 0
    agent._debug.mode = DebugMode(41, 1, 1_700_000_600_000, 9, "ana", "odd readings")
    board.follow(agent)
    notice = NoticeFile(tmp_path, clock).look().notice
    said = (notice.debug_until_ms, notice.debug_by, notice.debug_why)
    assert said == (1_700_000_600_000, "ana", "odd readings")
    agent._debug.mode = None
    board.follow(agent)
    assert NoticeFile(tmp_path, clock).look().notice.debug_until_ms == 0
