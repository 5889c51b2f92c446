import pytest

from devicesim.scenario import ScenarioError
from devicesim.scenario.texts import bases_of, digest_of, reader, whole_document

FILES = {
    "a/top.yaml": "extends: mid.yaml\n",
    "a/mid.yaml": "extends: ../b.yaml\n",
    "a/../b.yaml": "x: 1\n",
}
TOP = FILES["a/top.yaml"]


def test_all_that_stands_behind_a_scenario_is_gathered_nearest_first():
    found = bases_of("a/top.yaml", TOP, reader(FILES))
    assert list(found.items()) == [("a/mid.yaml", FILES["a/mid.yaml"]), ("a/../b.yaml", "x: 1\n")]


def test_what_extends_nothing_or_is_no_yaml_has_no_bases():
    assert bases_of("b.yaml", "x: 1\n", reader({})) == {}
    assert bases_of("b.yaml", "x: [1\n", reader({})) == {}
    with pytest.raises(ScenarioError, match="a file that can be read"):
        bases_of("a/top.yaml", TOP, reader({}))


def test_the_bases_serve_again_without_their_files():
    found = bases_of("a/top.yaml", TOP, reader(FILES))
    document, problems = whole_document("a/top.yaml", TOP, found)
    assert (document.data, problems) == ({"x": 1}, [])


def test_the_digest_tells_the_texts_apart_and_not_where_they_lie():
    assert digest_of("t", {"a": "1"}) == digest_of("t", {"b": "1"})
    said = [{}, {"a": "1"}, {"a": "2"}, {"a": "1", "b": "2"}, {"a": "12"}]
    assert len({digest_of("t", bases) for bases in said}) == len(said)
