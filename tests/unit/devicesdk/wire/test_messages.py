from devicesdk.wire.messages import UpdateState


def test_the_life_of_an_update_is_ordered_and_its_ends_are_terminal():
    ends = {s.name for s in UpdateState if s.terminal}
    assert ends == {
        "COMMITTED",
        "ROLLED_BACK",
        "FAILED",
        "REJECTED",
        "CANCELED",
        "TIMED_OUT",
        "SUPERSEDED",
    }
    assert {s for s in UpdateState if s.failed} == {
        UpdateState.ROLLED_BACK,
        UpdateState.FAILED,
        UpdateState.TIMED_OUT,
    }
