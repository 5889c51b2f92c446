"""A chain of causes in plain words: one line a moment, what repeats told once.

Decides the sentence of each kind of moment, which moments are one (an attempt, its failure and the wait
after it), how repetition is folded, and what goes when the story would be too long. Leaves out where the
chain comes from (`devicesim.world.causes`) and who reads it.

Rules: the first line (what began it) and the last (what failed) always stay; what is left out is counted;
the same chain gives the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import MS, SECOND, to_seconds
from devicesim.report.figures import THIN, count, duration, elapsed
from devicesim.world.causes.book import Moment
from devicesim.world.causes.eyes import ATTEMPT, CLEAR, DARK, HEARD, RUNS, TAKEN_DOWN
from devicesim.world.trace import BROKER, GATEWAY, WORLD
from gateway.core import notes
from gateway.core.experiments import notes as trials

FOLD_MIN: Final = 3
"""What comes so often in a row is told once."""
_PERIOD_MAX: Final = 3
_SENTENCES: Final = notes.SENTENCES | trials.SENTENCES
_NOTES: Final[dict[str, str]] = {note.value: note.sentence for note in NoteKind}
_NUMBERED: Final = re.compile(r"\b([ab]) = ([^,;.()]+)")
_FAN_OUT: Final = frozenset({notes.OFFER, notes.RETRY, notes.REVERT, notes.HOLD, notes.REISSUE})
"""What the gateway tells one device after the other: of no interest in the story of another one."""
_EVERYDAY: Final = frozenset(
    {
        NoteKind.FETCH_BEGUN, NoteKind.FETCH_DONE, "kit ran", RUNS, "boot", NoteKind.BACK_OFF, "delta applied",
        notes.EXPOSED, notes.COMMITTED, notes.STAGED, NoteKind.DELTA_CHOSEN, NoteKind.DELTA_APPLIED,
        notes.WAVE_QUORUM,
    }
)  # fmt: skip
"""Kinds that go without a word when a story is too long. Membership only."""
_STATES: Final = {
    UpdateState.OFFERED: "was offered",
    UpdateState.WAITING: "waits for its conditions (window, power, coolness)",
    UpdateState.DOWNLOADING: "is being fetched",
    UpdateState.DOWNLOADED: "is here, and is checked",
    UpdateState.VERIFIED: "passed its kit",
    UpdateState.STAGED: "stands by",
    UpdateState.TRIAL: "runs on trial",
    UpdateState.COMMITTED: "is committed",
    UpdateState.ROLLED_BACK: "was rolled back",
    UpdateState.FAILED: "has failed",
    UpdateState.REJECTED: "was rejected",
    UpdateState.CANCELED: "was cancelled",
    UpdateState.TIMED_OUT: "has timed out",
    UpdateState.SUPERSEDED: "was superseded by another",
}
_OWN: Final[dict[str, str]] = {
    NoteKind.PUBLISH_RESENT: "sent {a} messages again that nobody had acknowledged",
    NoteKind.PUBLISH_DEAD: "gave its connection up: messages stay unacknowledged",
    NoteKind.PUBLISH_UNHEARD: "keeps {a} messages to say them again: the broker has nobody for them",
    NoteKind.UNSUBSCRIBED: "does not subscribe again, and hears nothing from now on",
    NoteKind.ROOT_MISSING: "trusts root {a}, hears of root {b}, and cannot have what leads there",
    NoteKind.LINK_LOOK: "pauses its transfer: {b} rounds in a row came back empty",
    NoteKind.FETCH_BEGUN: "fetches {a} chunks, {b} of which it has",
    NoteKind.FETCH_DONE: "has all {a} chunks, and {b} of them twice",
    NoteKind.TRIAL_REBOOTED: "booted during the trial, {a} times so far",
    NoteKind.KILL_OBEYED: "obeys kill list {a}: {b} features are off",
    NoteKind.FLAGS_TAKEN: "takes flags of revision {a}",
    NoteKind.FEATURE_ON: "switches a feature on",
    NoteKind.FEATURE_OFF: "switches a feature off",
    NoteKind.CHUNK_BAD: "found chunk {a} to have the wrong hash",
    NoteKind.IMAGE_BAD: "read the whole image back and found the wrong hash",
    NoteKind.QUARANTINED: "will never flash this bundle again",
    NoteKind.STORAGE_FAILED: "was refused a write, {a} times so far",
    NoteKind.WINDOW_DROPPED: "dropped telemetry: its outbox was full ({a} so far)",
    NoteKind.TOLD_TO_WAIT: "was told by the gateway to wait {a} ms",
    NoteKind.REFUSED: "was refused by the gateway",
    NoteKind.ASK_FAILED: "had no answer from the gateway, and reads for itself",
    NoteKind.GARBAGE: "heard something that it does not understand or trust",
}
_PICKED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    NoteKind.ROLE_REFUSED: (
        "refused a {a} (its root is {b})",
        ("root", "timestamp", "snapshot", "targets file"),
    ),
    NoteKind.SLOT_INVALID: ("gives up slot {a}", ("a", "b")),
}
"""Sentences of notes whose first number stands for a word."""
_HEARD: Final = {
    "want": "heard what is wanted of it",
    "ctl": "was told something by the gateway",
    "order to everybody": "heard a kill list, flags or newer keys",
}
_DEVICE: Final = {
    "boot": "booted (boot {a} of its life)",
    "power off": "lost its power",
    "gateway start": "started",
    "gateway crash": "crashed",
    CLEAR: "could be reached again",
    TAKEN_DOWN: "had its connection reset",
    DARK: "could not be reached any more: {words}",
    "disconnected": "noticed that its connection was gone: {words}",
    "connect failed": "could not connect: {words}",
    ATTEMPT: "tries to connect",
    RUNS: "runs {words}",
    "flash full": "had no room for {a} bytes",
    "storage failed": "was refused a write",
    "kit ran": "ran the kit of the new bundle",
    "delta applied": "applied a delta",
    "body shutdown": "grew too hot and shut down, at {a} \N{DEGREE SIGN}C",
    "body cooled": "has cooled down",
    "body brown_out": "browned out",
    "body empty": "ran out of charge",
    "body charged": "is charged",
    "body revived": "has charge again",
    "body throttle_down": "was slowed down by heat, at {a} \N{DEGREE SIGN}C",
    "body throttle_up": "is faster again",
}


class Told(msgspec.Struct):
    """One line of a story before it is laid out."""

    at_ns: int
    who: str
    text: str
    key: str
    """Two moments with the same key are the same thing again."""
    kind: str = ""


class Names(msgspec.Struct):
    """What the words need to know of a run."""

    actor: Callable[[int], str]
    """Spells an actor: a device's id, or one of ours."""
    action: Callable[[str, int], str]
    """Says of an action of the timeline, by its key and the instant of its beginning, what and where it is."""
    plan: Callable[[str], str]
    """Says where in the scenario's file a rollout or an experiment is, in brackets; empty: unknown."""


def told(chain: list[Moment], names: Names) -> list[Told]:
    """Put a chain into words: everyday company left out, attempts joined to what came of them."""
    about = {moment.actor for moment in chain}
    spoken = {names.actor(actor) for actor in about if actor >= 0}
    kept = [m for m in chain if not (m.kind in _FAN_OUT and spoken and m.words not in spoken)]
    found: list[Told] = []
    kept = [m for m in kept[:-1] if not _said_already(m)] + kept[-1:]
    at = 0
    while at < len(kept):
        joined = _boot(kept, at, names) or _attempt(kept, at, names) or _loss(kept, at, names)
        if joined is None:
            found.append(_plain(kept[at], names))
            at += 1
        else:
            found.append(joined[0])
            at += joined[1]
    return found


def _said_already(moment: Moment) -> bool:
    """What the moment before or after it says as well, and the small files of an update."""
    if moment.kind == NoteKind.UPDATE_STATE:
        return moment.a == UpdateState.OFFERED
    if moment.kind in (NoteKind.FETCH_BEGUN, NoteKind.FETCH_DONE):
        return moment.a <= 1
    return moment.kind in (NoteKind.WANT_ACCEPTED, "kit ran")


def lines(story: list[Told], lines_max: int) -> list[str]:
    """Lay a story out in at most so many lines, repetitions folded, the middle left out first."""
    folded = _shortened(_fold(story), lines_max)
    seconds = [one[0].at_ns // SECOND for one in folded]
    spell = _to_the_millisecond if len(set(seconds)) < len(seconds) else instant
    width = max((len(one[0].who) for one in folded), default=0)
    made = [_line(one, width, spell) for one in folded]
    if len(made) <= lines_max:
        return made
    head = max(1, (lines_max - 1) // 3)
    tail = lines_max - 1 - head
    left = len(spell(0)) + 2 + width + 2
    gap = f"{'':{left}}\N{HORIZONTAL ELLIPSIS} {count(len(made) - head - tail)} steps between"
    return [*made[:head], gap, *made[len(made) - tail :]]


def instant(at_ns: int) -> str:
    """An instant as time since the start."""
    return elapsed(at_ns // SECOND)


# -- sentences ------------------------------------------------------------------------------------


def _plain(moment: Moment, names: Names) -> Told:
    text = sentence(moment, names)
    key = f"{moment.actor} {moment.kind} {moment.words}"
    if moment.kind == NoteKind.UPDATE_STATE:
        key += f" {moment.a}"
    elif moment.kind in _FAN_OUT:
        key = moment.kind
    return Told(moment.at_ns, _who(moment, names), text, key, moment.kind)


def _who(moment: Moment, names: Names) -> str:
    return names.actor(moment.actor)


def sentence(moment: Moment, names: Names) -> str:
    """What happened, without who and when."""
    kind, a, b, words = moment.kind, moment.a, moment.b, moment.words
    if moment.actor == WORLD:
        return _of_the_plan(moment, names)
    if moment.actor == GATEWAY and kind in _SENTENCES:
        said = (
            _SENTENCES[kind]
            .format(
                subject=words or ("nothing" if kind == notes.KILL_SET else "?"),
                a=count(a),
                b=count(b),
            )
            .rstrip(".")
        )
        begun = kind in (notes.ROLLOUT_CREATED, trials.CREATED)
        return said + (names.plan(words) if begun else "")
    if kind == "bearer":
        return "has a carrier again" if a else "has no carrier"
    if kind == "connected":
        return "is connected" + ("" if a else ", in a new session")
    if kind == HEARD:
        return _HEARD.get(words, f"heard a {words}")
    if kind in _DEVICE:
        return _DEVICE[kind].format(a=count(a), b=count(b), words=words or "why is not known")
    return noted(kind, a, b)


def _note(kind: str, a: int, b: int) -> str:
    """A note by the sentence of its own vocabulary: ``the wrong hash (its number 3)``."""
    if kind in _PICKED:
        pattern, names = _PICKED[kind]
        return pattern.format(a=names[a] if 0 <= a < len(names) else a, b=count(b))
    text = _OWN.get(kind, _NOTES.get(kind))
    if text is None:
        return f"{kind.replace('_', ' ')} ({a}, {b})" if a or b else kind.replace("_", " ")
    if kind in _OWN:
        return text.format(a=count(a), b=count(b))
    numbers = [
        f"{what.strip()}: {a if name == 'a' else b}" for name, what in _NUMBERED.findall(text)
    ]
    head = text.partition(";")[0].rstrip(".") if numbers else text.rstrip(".")
    tail = f" ({', '.join(numbers)})" if numbers else ""
    return head[0].lower() + head[1:] + tail


def noted(kind: str, a: int, b: int) -> str:
    """A note of an agent in words, without who and when."""
    if kind == NoteKind.UPDATE_STATE:
        return f"update {_STATES.get(UpdateState(a), UpdateState(a).name.lower())} (generation {b})"
    if kind == NoteKind.BACK_OFF:
        losses = f", after {count(b)} losses in a row" if b else ""
        return f"waits {_wait(a)} before it tries to connect{losses}"
    if kind == NoteKind.WANT_ACCEPTED:
        stay = ", and it is to stay where it is" if b else ""
        return f"heard what is wanted of it (generation {a}){stay}"
    if kind == NoteKind.CONNECT_TIMEOUT:
        return "got no answer to its connect"
    return _note(kind, a, b)


def _of_the_plan(moment: Moment, names: Names) -> str:
    what, _, key = moment.kind.partition(" ")
    if what != "fault":
        return moment.kind
    phase, _, key = key.partition(" ")
    if phase == "end":
        return f"{key} is over"
    hit = f" on {count(moment.a)} device{'s' if moment.a != 1 else ''}" if moment.a else ""
    return f"{names.action(key, moment.at_ns)} begins{hit}"


def _wait(millis: int) -> str:
    return _spelt(millis * MS)


def _spelt(value_ns: int) -> str:
    """A duration with plain spaces: these lines are searched for, and compared."""
    return duration(to_seconds(value_ns)).replace(THIN, " ")


# -- joining and folding --------------------------------------------------------------------------


def _attempt(kept: list[Moment], at: int, names: Names) -> tuple[Told, int] | None:
    """An attempt to connect, what came of it, and the wait after it, as one."""
    first = kept[at]
    if first.kind != ATTEMPT or at + 1 == len(kept):
        return None
    second = kept[at + 1]
    if second.actor != first.actor:
        return None
    who = _who(first, names)
    if second.kind == "connected":
        took = _spelt(second.at_ns - first.at_ns)
        text = f"{sentence(second, names)}, {took} after its attempt"
        return Told(second.at_ns, who, text, f"{first.actor} connected", "connected"), 2
    if second.kind not in ("connect failed", NoteKind.CONNECT_TIMEOUT, "disconnected"):
        return None
    why = "no answer" if second.kind == NoteKind.CONNECT_TIMEOUT else second.words or "lost"
    text, used = f"tried to connect in vain: {why}", 2
    third = kept[at + 2] if at + 2 < len(kept) else None
    if third is not None and third.kind == NoteKind.BACK_OFF and third.actor == first.actor:
        text, used = f"{text}; waits {_wait(third.a)}", 3
    return Told(first.at_ns, who, text, f"{first.actor} in vain {why}", ATTEMPT), used


def _boot(kept: list[Moment], at: int, names: Names) -> tuple[Told, int] | None:
    """A boot, what runs after it, and the wait before the first attempt, as one."""
    first, used = kept[at], 1
    if first.kind != "boot":
        return None
    text = sentence(first, names)
    for moment in kept[at + 1 : at + 3]:
        if moment.actor == first.actor and moment.kind == RUNS and used == 1:
            text, used = f"{text}, and {sentence(moment, names)}", 2
        elif moment.actor == first.actor and moment.kind == NoteKind.BACK_OFF and not moment.b:
            used += 1
            break
    return Told(first.at_ns, _who(first, names), text, f"{first.actor} boot", "boot"), used


def _loss(kept: list[Moment], at: int, names: Names) -> tuple[Told, int] | None:
    """The notice that a connection is gone, and the wait after it, as one."""
    first = kept[at]
    if first.kind != "disconnected" or at + 1 == len(kept):
        return None
    second = kept[at + 1]
    if second.kind != NoteKind.BACK_OFF or second.actor != first.actor:
        return None
    text = f"{sentence(first, names)}; waits {_wait(second.a)}"
    key = f"{first.actor} disconnected {first.words}"
    return Told(first.at_ns, _who(first, names), text, key, first.kind), 2


_Folded = tuple[Told, int, int]
"""A line, how often it comes again, and when for the last time."""


def _fold(story: list[Told]) -> list[_Folded]:
    """Fold what repeats, also a few lines that repeat together."""
    folded: list[_Folded] = []
    at = 0
    while at < len(story):
        period, times = _repeats(story, at)
        folded += [(one, 0, 0) for one in story[at : at + period]]
        if times > 1:
            last = story[at + period * times - 1]
            again = Told(
                story[at + period].at_ns, last.who, _again(story[at : at + period]), "", last.text
            )
            folded.append((again, times - 1, last.at_ns))
        at += period * times
    return folded


def _repeats(story: list[Told], at: int) -> tuple[int, int]:
    """The shortest period that repeats `FOLD_MIN` times from here, and how often; (1, 1): none."""
    keys = [one.key for one in story[at:]]
    for period in range(1, _PERIOD_MAX + 1):
        times = 1
        while keys[times * period : (times + 1) * period] == keys[:period]:
            times += 1
        if times >= FOLD_MIN:
            return period, times
    return 1, 1


def _again(cycle: list[Told]) -> str:
    if len(cycle) == 1 and cycle[0].kind == ATTEMPT:
        why = cycle[0].text.partition(": ")[2].partition(";")[0]
        return f"more attempts, each in vain: {why}"
    return "more times the same" if len(cycle) == 1 else f"more times these {len(cycle)} steps"


def _line(one: _Folded, width: int, spell: Callable[[int], str]) -> str:
    story, again, until = one
    at = spell(story.at_ns)
    if again:
        waits = story.kind.partition("; ")[2]
        times = (
            f"{count(again)} {story.text}, the last at {spell(until)}{', ' if waits else ''}{waits}"
        )
        return f"{'':{len(at)}}  {'':{width}}  \N{HORIZONTAL ELLIPSIS} {times}"
    return f"{at}  {story.who:{width}}  {story.text}"


def _shortened(folded: list[_Folded], lines_max: int) -> list[_Folded]:
    """Leave everyday steps out, those in the middle first, as long as there are too many lines."""
    while len(folded) > lines_max:
        minor = [n for n, one in enumerate(folded[1:-1], 1) if one[0].kind in _EVERYDAY]
        if not minor:
            break
        middle = len(folded) / 2
        del folded[min(minor, key=lambda n: abs(n - middle))]
    return folded


def _to_the_millisecond(at_ns: int) -> str:
    return f"{instant(at_ns)}.{at_ns // MS % 1000:03}"


def actor_names(devices: list[str]) -> Callable[[int], str]:
    """Spell actors, with the ids of the devices by index."""
    ours = {GATEWAY: "gateway", BROKER: "broker", WORLD: "timeline"}

    def spell(actor: int) -> str:
        return devices[actor] if actor >= 0 else ours.get(actor, "world")

    return spell
