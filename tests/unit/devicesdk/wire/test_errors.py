from devicesdk.wire.errors import Nack


def test_only_what_may_pass_by_itself_is_asked_again():
    assert [n for n in Nack if not n.terminal] == [Nack.UNAUTHORIZED, Nack.INTERNAL_ERROR]
