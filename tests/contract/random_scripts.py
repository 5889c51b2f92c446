"""Random scripts for two brokers: what they are made of, and which of them are worth playing.

A script is a list of steps in the verbs of the stages. Steps are drawn one by one, without regard
for each other; `playable` then goes through them with the little that a client knows of itself (am
I connected, did I leave a will) and leaves out what cannot be played or runs into `AVOIDED`. So any
part of a script is a script, which lets Hypothesis shrink by deleting steps.

Every message has its own text. Intervals are none, `SHORT_S` or `LONG_S`: a wait outlasts every
short one and no long one, and a short one outlasts what a script does between two waits by far (some
tens of milliseconds, of one script at a time), so that no script depends on how fast this machine is.

Left out, because the in-memory broker does not speak it: QoS 2, subscription options and
identifiers, topic aliases. A script either shares subscriptions or retains messages, because
mosquitto 2.0.11 shows retained messages to those who join a group (4.8.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from hypothesis import strategies as st

from tests.contract.differences import AVOIDED, LONG_S, SHORT_S, Client, Scene

WAIT_S = SHORT_S + 1.5
"""Outlasts `SHORT_S` on a broker that counts whole seconds and looks around once a second."""
SESSION_WAIT_S = SHORT_S + 6.5
"""The same where a session expires: mosquitto looks for those every five seconds."""

CLIENTS = ("a", "b", "c")
TOPICS = ("t", "t/1", "t/1/x", "t/", "/t", "u", "w/a", "w/b", "$x", "$x/t")
FILTERS = (
    *("t", "t/1", "t/+", "t/#", "t/1/#", "+/1", "+/+", "+/t", "#", "+", "/t", "u", "w/#", "w/a"),
    *("$x/t", "$x/#", "$x/+"),
)
SHARED = ("$share/g/t/#", "$share/g/t/1", "$share/h/t/1", "$share/g/u")


class Step(NamedTuple):
    """One call of a stage's verb."""

    verb: str
    args: tuple
    options: dict[str, object]

    def __str__(self) -> str:
        if self.verb == "wait":
            return f"yield {self.args[0]}"
        words = [repr(arg) for arg in self.args]
        words += [f"{name}={value!r}" for name, value in self.options.items()]
        return f"s.{self.verb}({', '.join(words)})".replace("'", '"')


Script = list[Step]
NOTHING = Step("nothing", (), {})


@dataclass(frozen=True)
class Alphabet:
    """What scripts of one kind may say besides what all of them say."""

    expiries_s: tuple[int, ...] = (LONG_S,)
    """Of messages and of wills' delays."""
    session_expiries_s: tuple[int, ...] = (0, LONG_S, LONG_S)
    wait_s: float | None = None
    """How long a wait is; None for no waits."""
    waits_max: int = 1
    restarts: bool = False


TIMELESS = Alphabet()
WAITS = Alphabet(expiries_s=(SHORT_S, SHORT_S, LONG_S), wait_s=WAIT_S)
"""Messages expire, wills are delayed and due."""
SESSION_WAITS = Alphabet(
    expiries_s=(SHORT_S, SHORT_S, LONG_S),
    session_expiries_s=(0, SHORT_S, SHORT_S, LONG_S),
    wait_s=SESSION_WAIT_S,
)
"""Sessions expire, too."""
RESTARTS = Alphabet(restarts=True)

DEFAULTS: dict[str, dict[str, object]] = {
    "connect": {
        "clean": True,
        "expiry_s": 0,
        "receive_max": 65_535,
        "will": None,
        "auto_ack": True,
    },
    "publish": {"qos": 1, "retain": False, "expiry_s": None},
    "disconnect": {"send_will": False, "expiry_s": None},
    "ack": {"count": 1},
}


def scripts(alphabet: Alphabet) -> st.SearchStrategy[Script]:
    """Random scripts that can be played; the empty one is among them."""
    return st.one_of([_Grammar(alphabet, shared).scripts() for shared in (False, True)])


class _Grammar:
    """The strategies of one alphabet; `shared` scripts share subscriptions and retain nothing."""

    def __init__(self, alphabet: Alphabet, shared: bool) -> None:
        self.alphabet = alphabet
        self.who = st.sampled_from(CLIENTS)
        self.qos = st.sampled_from((1, 1, 0))
        self.retain = st.just(False) if shared else st.booleans()
        self.filters = st.sampled_from(FILTERS + (SHARED if shared else ()))

    def scripts(self) -> st.SearchStrategy[Script]:
        opening = [self.perhaps(self.connect) for _ in CLIENTS]
        opening += [self.perhaps(self.subscribe) for _ in CLIENTS]
        # A list of lists, because a list of Hypothesis has half a dozen elements on the average.
        scenes = st.lists(st.lists(self.step(), max_size=12), max_size=8)
        return st.builds(
            lambda first, rest: list(playable([*first, *chain.from_iterable(rest)], self.alphabet)),
            st.tuples(*opening),
            scenes,
        )

    def perhaps(self, step: Callable[[], st.SearchStrategy[Step]]) -> st.SearchStrategy[Step]:
        return st.one_of(st.just(NOTHING), step(), step(), step())

    def step(self) -> st.SearchStrategy[Step]:
        # A new strategy for each share of the weight: `one_of` drops repetitions.
        verbs = [
            *(self.publish() for _ in range(6)),
            *(self.connect() for _ in range(3)),
            self.subscribe(),
            self.subscribe_twice(),
            _call("unsubscribe", self.who, self.filters),
            _call("ack", self.who, count=st.sampled_from((1, 2, 20))),
            _call("drop", self.who),
            self.disconnect(),
        ]
        if self.alphabet.wait_s is not None:
            verbs.append(st.just(Step("wait", (), {})))
        if self.alphabet.restarts:
            verbs.append(_call("restart", lose_sessions=st.sampled_from((False, False, True))))
        return st.one_of(verbs)

    def publish(self) -> st.SearchStrategy[Step]:
        return _call(
            "publish",
            self.who,
            st.sampled_from(TOPICS),
            st.sampled_from(("m", "m", "m", "m", "")),
            qos=self.qos,
            retain=self.retain,
            expiry_s=st.sampled_from((None, None, *self.alphabet.expiries_s)),
        )

    def connect(self) -> st.SearchStrategy[Step]:
        topic = st.sampled_from(("w/a", "w/b", "t/1"))
        delay = st.sampled_from((0, 0, *self.alphabet.expiries_s))
        will = st.tuples(topic, st.just("w"), st.integers(0, 1), self.retain, delay)
        return _call(
            "connect",
            self.who,
            clean=st.sampled_from((True, False, False)),
            expiry_s=st.sampled_from(self.alphabet.session_expiries_s),
            receive_max=st.sampled_from((65_535, 1, 2)),
            will=st.one_of(st.none(), st.none(), will),
            auto_ack=st.sampled_from((True, False, False)),  # the default first: it shrinks to that
        )

    def subscribe(self) -> st.SearchStrategy[Step]:
        return _call("subscribe", self.who, st.tuples(self.filters, self.qos))

    def subscribe_twice(self) -> st.SearchStrategy[Step]:
        wish = st.tuples(self.filters, self.qos)
        return _call("subscribe", self.who, wish, wish)

    def disconnect(self) -> st.SearchStrategy[Step]:
        expiries_s = (None, None, 0, *self.alphabet.session_expiries_s)
        return _call(
            "disconnect",
            self.who,
            send_will=st.booleans(),
            expiry_s=st.sampled_from(expiries_s),
        )


def _call(
    verb: str, *args: st.SearchStrategy, **options: st.SearchStrategy
) -> st.SearchStrategy[Step]:
    return st.builds(
        lambda args, options: Step(verb, args, options),
        st.tuples(*args),
        st.fixed_dictionaries(options),
    )


def playable(drawn: Script, alphabet: Alphabet) -> Iterator[Step]:
    """Leave out what cannot be played or is avoided, and give every message its own text."""
    scene = Scene(alphabet.restarts, {name: Client() for name in CLIENTS})
    waits = 0
    for number, wish in enumerate(drawn):
        step = _by_someone_online(scene, wish)
        if step.verb == "wait":
            waits += 1
            if waits <= alphabet.waits_max:
                yield Step("wait", (alphabet.wait_s,), {})
                _let_time_pass(scene)
        elif _can_be_played(scene, step) and not any(
            trap.runs_into(scene, *step) for trap in AVOIDED.values()
        ):
            _take_note(scene, step)
            yield _worded(step, number)


def shortened(script: Script, fails: Callable[[Script], bool]) -> Script:
    """Leave out what can be left out, in ever smaller pieces, while it still fails: Hypothesis gives up on long scripts after five minutes."""
    size = len(script)
    while size:
        at = 0
        while at < len(script):
            shorter = (*script[:at], *script[at + size :])
            if _whole(shorter) and fails(shorter):
                script = shorter
            else:
                at += 1
        size //= 2
    return script


def _whole(script: Script) -> bool:
    """Whether nobody does anything in it before connecting, or after leaving."""
    online: set[str] = set()
    for step in script:
        name = step.args[0] if step.args else ""
        if step.verb == "connect":
            online.add(name)
        elif step.verb == "restart":
            online.clear()
        elif step.verb != "wait":
            if name not in online:
                return False
            if step.verb in ("drop", "disconnect"):
                online.discard(name)
    return True


def _by_someone_online(scene: Scene, step: Step) -> Step:
    """Let another client do what an offline one cannot, lest most steps be left out."""
    if step.verb not in ("publish", "subscribe", "unsubscribe", "ack"):
        return step
    online = [name for name in CLIENTS if scene.clients[name].online]
    name = step.args[0] if step.args[0] in online or not online else online[0]
    return step._replace(args=(name, *step.args[1:]))


def _can_be_played(scene: Scene, step: Step) -> bool:
    if step.verb in ("connect", "restart"):
        return True
    if step.verb == "nothing":
        return False
    client = scene.clients[step.args[0]]
    if step.verb == "disconnect" and step.options["expiry_s"] and not client.expiry_s:
        return False  # a protocol error (3.14.2.2.2)
    return client.online


def _take_note(scene: Scene, step: Step) -> None:
    if step.verb == "restart":
        for client in scene.clients.values():
            client.online = client.will_waits = False
        return
    client, options = scene.clients[step.args[0]], step.options
    if step.verb == "publish" and options["retain"]:
        scene.retained.setdefault(step.args[1])
    if step.verb == "publish" and options["qos"] and options["expiry_s"] == SHORT_S:
        scene.short_lived = True
    if step.verb == "connect":
        if options["will"] is not None and options["will"][3]:
            scene.retained.setdefault(options["will"][0])
        client.receive_max, client.auto_ack = options["receive_max"], options["auto_ack"]
        client.online, client.will_waits = True, False
        client.expiry_s = options["expiry_s"]
        client.will_delay_s = None if options["will"] is None else options["will"][4]
    elif step.verb in ("drop", "disconnect"):
        client.online = False
        client.will_waits = bool(client.will_delay_s) and options.get("send_will", True)


def _let_time_pass(scene: Scene) -> None:
    for client in scene.clients.values():
        client.will_waits = client.will_waits and client.will_delay_s != SHORT_S


def _worded(step: Step, number: int) -> Step:
    """Number the message of the step and leave out options that say what is the default."""
    args, options = step.args, dict(step.options)
    if step.verb == "publish" and args[2]:
        args = (*args[:2], f"m{number}")
    if options.get("will"):
        topic, text, *rest = options["will"]
        options["will"] = (topic, f"{text}{number}", *rest)
    usual = DEFAULTS.get(step.verb, {})
    options = {name: value for name, value in options.items() if value != usual.get(name, ...)}
    return Step(step.verb, args, options)
