"""Words for a shell: bounded, quick, and silent about whatever goes wrong."""

import threading

import typer

from gateway.commands import completing
from gateway.commands.completing import WORDS_MAX, device_ids, feature_names, flag_names
from tests_kit.scripted_http import Scripted, answer, raw


def complete(offered, incomplete="", *acts, **said):
    with Scripted(*acts) as peer:
        context = typer.Context(typer.main.get_command(APP))
        context.params = {"url": peer.url, **said}
        return offered(context, incomplete), peer


APP = typer.Typer()
APP.command()(lambda: None)


def page(*ids, then=None):
    return answer({"devices": [{"id": one} for one in ids], "next": then})


def test_words_that_begin_as_was_typed(monkeypatch):
    monkeypatch.setenv("FLEETDRILL_TOKEN", "t")
    found, _ = complete(device_ids, "k", page("a", "k-2", "k-1", "z"))
    assert found == ["k-1", "k-2"]
    briefs = answer([])
    segments = answer({"segments": [{"segment": "all", "flags": ["a", "b"]}, {"segment": "eu", "flags": ["c"]}], "next": None})  # fmt: skip
    assert complete(flag_names, "", segments)[0] == ["a", "b", "c"]
    assert complete(flag_names, "", segments, segment="eu")[0] == ["c"]
    assert complete(feature_names, "", answer({"features": ["x"]}), revive=True)[0] == ["x"]
    assert briefs


def test_pages_are_asked_for_until_those_that_fit_are_over(monkeypatch):
    monkeypatch.setenv("FLEETDRILL_TOKEN", "t")
    found, peer = complete(device_ids, "b", page("a", "b1", then="C"), page("b2", "c", then="D"), page("d"))  # fmt: skip
    assert found == ["b1", "b2"]
    assert len(peer.asked) == 2


def test_there_are_no_more_than_fit_a_screen(monkeypatch):
    monkeypatch.setenv("FLEETDRILL_TOKEN", "t")
    found, _ = complete(device_ids, "", page(*(f"k-{n:03}" for n in range(300))))
    assert len(found) == WORDS_MAX


def test_whatever_goes_wrong_is_silent(monkeypatch, capfd):
    monkeypatch.setenv("FLEETDRILL_TOKEN", "t")
    assert complete(device_ids, "", raw(b"<html>", 500))[0] == []
    assert complete(device_ids, "", answer({"nothing": 1}))[0] == []
    monkeypatch.delenv("FLEETDRILL_TOKEN")
    assert complete(device_ids, "", page("a"))[0] == []
    assert capfd.readouterr() == ("", "")


def test_a_gateway_that_is_slow_is_not_waited_for(monkeypatch):
    monkeypatch.setenv("FLEETDRILL_TOKEN", "t")
    monkeypatch.setattr(completing, "WAIT_S_MAX", 0.01)
    end = threading.Event()

    def slow(handler):
        end.wait(60)
        page("a")(handler)

    with Scripted(slow) as peer:
        context = typer.Context(typer.main.get_command(APP))
        context.params = {"url": peer.url}
        found = device_ids(context, "")
        end.set()
    assert found == []
