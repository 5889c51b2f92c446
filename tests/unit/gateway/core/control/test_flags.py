"""Flag snapshots and the kill list: one revision, one content."""

from __future__ import annotations

import json

import pytest

from gateway.core import notes
from gateway.core.control.flags import Flags
from gateway.core.control.outbox import Outbox
from gateway.core.effects import Note, Persist, Publish
from gateway.core.limits import ControlLimits
from gateway.core.rows import KillRow, SegmentRow
from gateway.core.stimuli import Kill, SetFlag
from tests_kit.gateway_charts import PlainSigner, flags_of, kill_of

ON = json.dumps({"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
OFF = json.dumps({"state": "DISABLED", "variants": {"on": True}, "defaultVariant": None})


def flags(**limits):
    outbox = Outbox(10)
    outbox.up([])
    return Flags(ControlLimits(**limits), outbox, PlainSigner())


def do(machine, stimulus):
    out = []
    machine.set(stimulus, out) if isinstance(stimulus, SetFlag) else machine.kill(stimulus, out)
    machine.validate()
    return out


def published(out):
    return [effect for effect in out if isinstance(effect, Publish)]


def test_a_segment_is_one_document_and_its_revision_grows():
    machine = flags()
    (first,) = published(do(machine, SetFlag("eu", "b", ON)))
    (second,) = published(do(machine, SetFlag("eu", "a", OFF)))
    assert (first.topic, first.kind, first.retain) == ("fd/main/f/eu", "flags", True)
    snapshot = flags_of(second.payload)
    assert (flags_of(first.payload).rev, snapshot.rev, snapshot.segment) == (1, 2, "eu")
    document = json.loads(snapshot.document)
    assert list(document["flags"]) == ["a", "b"]
    assert document["flags"]["a"] == json.loads(OFF)


def test_setting_what_is_set_makes_no_revision_however_it_is_spelled():
    machine = flags()
    do(machine, SetFlag("eu", "b", ON))
    assert do(machine, SetFlag("eu", "b", json.dumps(json.loads(ON), indent=2))) == []
    assert machine.segments["eu"].rev == 1


@pytest.mark.parametrize(
    ("segment", "flag", "definition", "word"),
    [
        ("eu", "a", "{", "expected JSON"),
        ("eu", "a", "[]", "JSON object"),
        ("eu", "a", '{"state":"ON"}', "expected state"),
        ("eu", "a", '{"state":"ENABLED"}', "variant"),
        (
            "eu",
            "a",
            '{"state":"ENABLED","variants":{"x":1},"defaultVariant":"y"}',
            "defaultVariant",
        ),
        ("e/u", "a", ON, "segment name"),
        ("eu", "", ON, "flag name"),
        ("eu", "a" * 200, ON, "flag name"),
        ("eu", "a", ON[:-1] + ',"x":"' + "y" * 70_000 + '"}', "bytes"),
        ("eu", "a", ON[:-1] + ',"targeting":{"reduce":[[1],{"var":"accumulator"},""]}}', "reduce"),
        ("eu", "a", ON[:-1] + ',"targeting":' + "[" * 90 + "]" * 90 + "}", "levels"),
        ("eu", "a", "[" * 30_000, "expected JSON"),
    ],
)
def test_what_no_device_could_read_is_refused(segment, flag, definition, word):
    machine = flags()
    (note,) = do(machine, SetFlag(segment, flag, definition))
    assert note.kind == notes.FLAG_REFUSED
    assert word in note.subject
    assert machine.segments == {}


def test_bounds():
    machine = flags(segments_max=1, flags_per_segment_max=1)
    do(machine, SetFlag("eu", "a", ON))
    (note,) = do(machine, SetFlag("us", "a", ON))
    assert "segments_max" in note.subject
    (note,) = do(machine, SetFlag("eu", "b", ON))
    assert "flags_per_segment_max" in note.subject


def test_a_kill_is_published_first_in_its_batch_and_versions_grow():
    machine = flags()
    out = do(machine, Kill("polish"))
    assert [type(effect) for effect in out] == [Persist, Persist, Publish, Note]
    assert (kill_of(published(out)[0].payload).version, published(out)[0].topic) == (1, "fd/main/k")
    do(machine, Kill("dial"))
    out = do(machine, Kill("polish", alive=True))
    killed = kill_of(published(out)[0].payload)
    assert (killed.version, killed.features) == (3, ("dial",))


def test_killing_the_dead_and_reviving_the_living_change_nothing():
    machine = flags()
    assert do(machine, Kill("polish", alive=True)) == []
    do(machine, Kill("polish"))
    assert do(machine, Kill("polish")) == []
    assert machine.kills == KillRow(1, ("polish",))


def test_a_kill_list_fits_its_bound():
    machine = flags()
    for number in range(200):
        do(machine, Kill(f"feature-number-{number:04}"))
    (note,) = do(machine, Kill("one-too-many-000000"))
    assert note.kind == notes.KILL_REFUSED
    (note,) = do(machine, Kill(""))
    assert note.kind == notes.KILL_REFUSED


@pytest.mark.parametrize("name", [".", ".."])
def test_what_nobody_could_take_back_is_not_killed_and_what_was_killed_is_taken_back(name):
    machine = flags()
    (note,) = do(machine, Kill(name))
    assert (note.kind, machine.kills) == (notes.KILL_REFUSED, KillRow(0, ()))
    assert f"found {name!r}" in note.subject
    machine.kills = KillRow(7, (name, "a"))  # of a gateway that did not look yet
    do(machine, Kill(name, alive=True))
    assert machine.kills == KillRow(8, ("a",))


def test_a_flag_that_nobody_could_ask_for_is_not_made_and_an_old_one_is_changed():
    machine = flags()
    (note,) = do(machine, SetFlag("eu", "..", ON))
    assert (note.kind, machine.segments) == (notes.FLAG_REFUSED, {})
    assert "found '..'" in note.subject
    machine.segments["eu"] = SegmentRow(3, (("..", ON),))
    do(machine, SetFlag("eu", "..", OFF))
    assert [json.loads(text) for _, text in machine.segments["eu"].flags] == [json.loads(OFF)]


def test_everything_is_said_again_kill_list_first():
    machine = flags()
    machine.segments["eu"] = SegmentRow(3, (("a", ON),))
    machine.kills = KillRow(2, ())
    out = []
    machine.republish(out)
    assert [publish.kind for publish in published(out)] == ["kill", "flags"]
    out.clear()
    flags().republish(out)
    assert out == []
