"""Where two brokers may tell a client different things, one by one, with the paragraph of MQTT 5.

Paragraphs are those of https://docs.oasis-open.org/mqtt/mqtt/v5.0/. `ALLOWED` is what the standard
leaves open: the comparison of random scripts takes each of them out by its name. `AVOIDED` is what
would change all that follows, so that random scripts stay away from it: departures of mosquitto
2.0.11 from the standard, each shown by a hand-written script (`hand_script`), and one
liberty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

SHORT_S, LONG_S = 8, 1000
"""The intervals of random scripts: a wait outlasts every short one and no long one."""
ANSWERS = ("connack", "suback", "puback", "unsuback", "closed")


class Allowed(NamedTuple):
    """A liberty of the standard and how to look past it: the stream and the line to compare."""

    paragraph: str
    why: str
    look_past: Callable[[str, str], tuple[str, str]]


def is_answer(line: str) -> bool:
    return line.startswith(ANSWERS)


def _apart_from_answers(stream: str, line: str) -> tuple[str, str]:
    return stream if is_answer(line) else stream + "messages ", line


def _by_topic(stream: str, line: str) -> tuple[str, str]:
    return (f"{stream}on {line.split('=', 1)[0]} " if stream else stream), line


def _by_quality(stream: str, line: str) -> tuple[str, str]:
    return (f"{stream}at {line.split('=', 1)[1].split(' ')[1]} " if stream else stream), line


def _without_last_words(stream: str, line: str) -> tuple[str, str]:
    return stream, "closed" if line.startswith("closed") else line


ALLOWED: dict[str, Allowed] = {
    "messages before their answer": Allowed(
        "3.8.4",
        "the server may send PUBLISH packets that match a subscription before the SUBACK",
        _apart_from_answers,
    ),
    "order of topics": Allowed(
        "4.6.0",
        "order is kept for each topic, not between topics (MQTT-4.6.0-6): which retained message "
        "a wildcard shows first is the server's choice",
        _by_topic,
    ),
    "order of qualities": Allowed(
        "4.6.0",
        "order is kept for one topic and QoS (MQTT-4.6.0-6): QoS 0 may pass a QoS 1 message that "
        "waits, and a message that matches two filters goes out twice in either order (3.3.4)",
        _by_quality,
    ),
    "last words": Allowed(
        "4.13.1",
        "a server that closes a connection may say DISCONNECT and why, or nothing; mosquitto "
        "2.0.11 says nothing at a shutdown, nor, against MQTT-3.1.4-3, at a take-over",
        _without_last_words,
    ),
}


def comparable(lines: list[str]) -> dict[str, list[str]]:
    """Sort the lines of one client and step into streams, each to be equal on both brokers."""
    streams: dict[str, list[str]] = {}
    for line in lines:
        stream = ""
        for liberty in ALLOWED.values():
            stream, line = liberty.look_past(stream, line)  # noqa: PLW2901 - each sees the last one's
        streams.setdefault(stream, []).append(line)
    return streams


@dataclass
class Client:
    """What a script knows of a client while it goes: enough to say whether a step can be played."""

    online: bool = False
    expiry_s: int = 0
    receive_max: int = 65_535
    auto_ack: bool = True
    will_delay_s: int | None = None
    """Of the present connection; None without a will."""
    will_waits: bool = False
    """The last connection ended and its will is delayed."""


@dataclass
class Scene:
    """All clients of a script, whether it may restart the broker, topics that were retained."""

    restarts: bool = False
    clients: dict[str, Client] = field(default_factory=dict)
    retained: dict[str, None] = field(default_factory=dict)
    short_lived: bool = False
    """A QoS 1 message was published that a wait outlasts."""


class Avoided(NamedTuple):
    """A difference that would change all that follows, and the steps that would run into it."""

    paragraph: str
    why: str
    script: str | None
    """The hand-written script that shows a departure of mosquitto; None for a liberty of MQTT."""
    runs_into: Callable[[Scene, str, tuple, dict], bool]


def _will_of_a_take_over(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    if verb != "connect" or not (client := scene.clients[args[0]]).online:
        return False
    due = client.will_delay_s == 0 or options["clean"] or not client.expiry_s
    return client.will_delay_s is not None and due


def _will_at_clean_start(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    return verb == "connect" and scene.clients[args[0]].will_waits and options["clean"]


def _will_beyond_the_session(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    if verb == "connect":
        return options["will"] is not None and options["will"][4] > options["expiry_s"]
    if verb != "disconnect" or not options["send_will"] or options["expiry_s"] is None:
        return False
    return (scene.clients[args[0]].will_delay_s or 0) > options["expiry_s"]


def _window_of_several(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    # A window of one is kept to; the default is one that no script fills.
    del scene, args
    narrow = verb == "connect" and 1 < options["receive_max"] < 65_535
    return narrow and not options["auto_ack"]


def _narrower_than_before(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    if verb != "connect":
        return False
    client = scene.clients[args[0]]
    narrower = options["receive_max"] < client.receive_max and not client.auto_ack
    return narrower and not options["clean"] and client.expiry_s > 0


def _expires_in_a_narrow_window(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    del args
    if verb == "connect":
        return scene.short_lived and _holds_back(options["receive_max"], options["auto_ack"])
    short = verb == "publish" and options["qos"] and options["expiry_s"] == SHORT_S
    windows = ((client.receive_max, client.auto_ack) for client in scene.clients.values())
    return bool(short) and any(_holds_back(*window) for window in windows)


def _holds_back(receive_max: int, auto_ack: bool) -> bool:
    return receive_max < 65_535 and not auto_ack


def _dollar_parent_retained(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    del options
    return verb == "subscribe" and any(
        name.startswith("$") and name.endswith("/#") and name[:-2] in scene.retained
        for name, _ in args[1:]
    )


def _several_retained_in_a_narrow_window(
    scene: Scene, verb: str, args: tuple, options: dict
) -> bool:
    del options
    if verb != "subscribe" or scene.clients[args[0]].receive_max == 65_535:
        return False
    return len(scene.retained) > 1 and any("+" in name or "#" in name for name, _ in args[1:])


def _dollar_filter_given_up(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    del scene, options
    return verb == "unsubscribe" and args[1].startswith("$x/")


def _clean_start_to_be_saved(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    del args
    return scene.restarts and verb == "connect" and options["clean"] and options["expiry_s"] > 0


def _no_expiry_across_a_restart(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    del args
    return scene.restarts and verb == "connect" and not options["clean"] and not options["expiry_s"]


def _shared_across_a_restart(scene: Scene, verb: str, args: tuple, options: dict) -> bool:
    del options
    shared = verb == "subscribe" and any(name.startswith("$share/") for name, _ in args[1:])
    return scene.restarts and shared


AVOIDED: dict[str, Avoided] = {
    "shared subscription across a restart": Avoided(
        "4.1.0",
        "a session's subscriptions are part of its state; mosquitto 2.0.11 saves none that is shared",
        "a_restart_keeps_shared_subscriptions",
        _shared_across_a_restart,
    ),
    "will of a connection that is taken over": Avoided(
        "3.1.4",
        "MQTT-3.1.4-3: the will of a connection that is taken over is published as for any that "
        "the server closes; mosquitto forgets it",
        "take_over",
        _will_of_a_take_over,
    ),
    "clean start while a will waits": Avoided(
        "3.1.3.2.2",
        "a delayed will is published when the session ends, as it does by clean start; mosquitto "
        "forgets it",
        "clean_start_ends_the_session_and_so_its_will_is_due",
        _will_at_clean_start,
    ),
    "session that ends before its will is due": Avoided(
        "3.1.3.2.2",
        "a will is published after its delay or when the session ends, whichever is first; "
        "mosquitto waits for the delay in any case",
        "a_session_without_expiry_does_not_delay_its_will",
        _will_beyond_the_session,
    ),
    "clean start of a session that is to be saved": Avoided(
        "4.1.0",
        "session state is kept for as long as the session expiry interval says, however the "
        "session began; mosquitto does not save sessions that began with clean start",
        "a_restart_saves_sessions_that_began_with_clean_start",
        _clean_start_to_be_saved,
    ),
    "session that ends at a restart": Avoided(
        "3.1.2.11.2",
        "a session without expiry ends with its connection; mosquitto saves it if it did not begin "
        "with clean start, and queues for it after a restart",
        "a_restart_ends_sessions_without_expiry",
        _no_expiry_across_a_restart,
    ),
    "window wider than one, given back in parts": Avoided(
        "3.3.4",
        "MQTT-3.3.4-9: no more unacknowledged messages than the receive maximum; for one PUBACK "
        "mosquitto sends as many queued ones as the window is wide",
        "one_acknowledgement_makes_room_for_one_message",
        _window_of_several,
    ),
    "window narrower than before": Avoided(
        "3.3.4",
        "MQTT-3.3.4-9: no more unacknowledged messages than the receive maximum; after a reconnect "
        "mosquitto sends again all that is in flight, whatever the new maximum",
        "what_comes_again_keeps_to_the_new_window",
        _narrower_than_before,
    ),
    "message that expires unacknowledged in a narrow window": Avoided(
        "3.3.4",
        "MQTT-3.3.4-9: a message that was sent counts against the receive maximum until its PUBACK, "
        "expired or not; mosquitto forgets it and sends the next one",
        "an_expired_message_in_flight_keeps_its_place",
        _expires_in_a_narrow_window,
    ),
    "retained parent of a $ filter": Avoided(
        "4.7.1.2",
        "a filter that ends in /# matches the level above, too; mosquitto does not show that "
        "level's retained message if it is a first level with $",
        "a_first_level_is_shown_to_the_filter_of_its_children",
        _dollar_parent_retained,
    ),
    "unsubscribing from a $ filter that is unknown": Avoided(
        "3.11.3",
        "the answer to a filter that is not subscribed is 0x11; mosquitto says 0x00 if nobody ever "
        "used the first level, unless it is an ordinary one",
        "a_dollar_filter_that_nobody_used",
        _dollar_filter_given_up,
    ),
    "several retained messages in a narrow window": Avoided(
        "4.6.0",
        "which topic a wildcard shows first is the server's choice, and so is then what waits for "
        "an acknowledgement and what a full queue drops",
        None,
        _several_retained_in_a_narrow_window,
    ),
}
