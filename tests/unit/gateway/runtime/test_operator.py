"""What is prepared before the core is asked, and what is answered."""

import pytest

from devicesdk.wire.errors import BadMessage
from gateway.core import effects as ask
from gateway.core import notes
from gateway.core import stimuli as hear
from gateway.runtime.life import GuardError
from gateway.runtime.operator import Operator, Prepared
from gateway.runtime.verbs import CreateRollout, Kill, PublishBundle, VerbError
from tests_kit.agent_bundles import VERIFIER


@pytest.fixture
def operator(stage):
    return Operator(stage.runtime, stage.blobs, VERIFIER)


def raised(work):
    with pytest.raises(VerbError) as caught:
        work()
    return caught.value.code, str(caught.value)


async def test_a_plain_mutation_is_one_stimulus(operator):
    assert (await operator.prepare(Kill(feature="x"))).stimuli == (hear.Kill("x", alive=False),)


async def test_nothing_is_prepared_that_devices_would_refuse(operator):
    with pytest.raises(VerbError, match="expected a blob"):
        await operator.prepare(PublishBundle(digest="00" * 32))
    with pytest.raises(VerbError, match="expected a duration"):
        await operator.prepare(CreateRollout(id="r", bundle="b@1", soak="soon"))


async def test_a_verb_is_done_without_an_office(operator, stage):
    found = await operator.do(Kill(feature="x"))
    assert len(found["said"]) == 1
    assert "x" in found["said"][0]


def test_a_refusal_is_an_error_with_its_code():
    prepared = Prepared(())
    assert raised(lambda: prepared.result((), BadMessage("no"))) == ("invalid", "no")
    assert raised(lambda: prepared.result((), GuardError("since"))) == ("changed", "since")
    assert raised(lambda: prepared.result((), GuardError("not you", "forbidden"))) == (
        "forbidden",
        "not you",
    )
    code, said = raised(lambda: prepared.result((ask.Note(notes.DELTA_REFUSED, "d"),)))
    assert code == "refused"
    assert said == Prepared.sentences((ask.Note(notes.DELTA_REFUSED, "d"),))[0]


def test_an_answer_has_more_to_say():
    assert Prepared((), {"bundle": "b@1"}).result(()) == {"said": [], "bundle": "b@1"}
