"""Operators who change things over HTTP and never stop: load for a gateway that is killed again and again.

Decides what each asks, what must hold once it was acknowledged, and how an audit entry is known to be of a request.
Leaves out the gateway and who looks (test_acknowledged.py), experiments, waves that wait, and role metadata.

Rules: each mutation has an idempotency key of its own and is repeated under it until an answer comes that ends it; no two
of them are alike, so that an entry of the log is of one of them alone; what is set again has a number that only grows, so
that whatever came later shows what came before. Two take no key. The making of a token: when the name exists already because
an answer was lost, the text is lost with it, and the operator ends that token. And the decision on what waits for a second
person: when the answer was lost, it is decided already.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from devicesdk.bundle.manifest import encode_manifest
from devicesdk.bundle.trust import Signer
from gateway.core.rehearsals.book import KEPT_MAX
from tests.chaos.clients import PAUSE_S, Acknowledged, Asker
from tests.chaos.seen import Seen, Told, definition_of, request
from tests_kit.agent_bundles import Bundle

AGAIN = (401, 429, 503)
"""Not ours (another program has the old port), too often, not now."""
IMAGE_BYTES = 2_000
FLAGS, DEVICES = 3, 4
"""Of an operator; each is changed again and again."""
MAKE, DECIDE, GRANT = "token.make", "approval.approve", "debug.grant"
KEYLESS = {MAKE: "/exists", DECIDE: "/invalid"}
"""Verbs that take no key, and the problem that is told when they are asked again."""
TELLING = {
    "flag.set": ("definition",), "device.enroll": ("labels",), "kill": ("alive",), "alarm.silence": ("why",),
    GRANT: ("why",), "rehearsal.plan": ("plan", "id"),
}  # fmt: skip
"""Verbs that are asked of one subject more than once, and where among the arguments is what tells them apart."""

Identity = tuple[str, str, str]
"""Verb, subject, and the argument that tells: as the audit log has them."""


class Wish(NamedTuple):
    """A mutation, and what must hold once it was acknowledged."""

    verb: str
    subject: str
    method: str
    path: str
    holds: Callable[[Seen], bool]
    body: Any = None
    telling: Any = None
    token: str = ""
    """Of whoever asks; empty: the administrator's."""


def identity_of(verb: str, subject: str, arguments: bytes) -> Identity:
    """Which request an audit entry is of."""
    if verb not in TELLING:
        return verb, subject, ""
    found = json.loads(arguments)
    for name in TELLING[verb]:
        found = found[name]
    return verb, subject, _text(found)


def _text(word: Any) -> str:
    return json.dumps(word, sort_keys=True)


class OverHttp(Asker):
    """Insists on what it wishes."""

    def __init__(self, name: str, state: Path) -> None:
        super().__init__(name, state)
        self.asked: dict[str, Wish] = {}
        """By idempotency key; the answer may not be here yet."""

    def identity(self, key: str) -> Identity:
        """What the audit log calls the wish of this key."""
        wish = self.asked[key]
        return wish.verb, wish.subject, _text(wish.telling) if wish.verb in TELLING else ""

    def insist(self, wish: Wish) -> Told:
        """Ask until it is answered."""
        key, tries = f"{self.name}/{len(self.asked)}", 0
        self.asked[key] = wish
        while True:
            tries += 1
            told = self.once(key)
            under_way = told.status == 409 and told.kind.endswith("/conflict")
            if told.status and told.status not in AGAIN and not under_way:
                done = Acknowledged(key, wish.verb, wish.subject, told.status, tries, told.body)
                self.answers.append(done)
                return told
            threading.Event().wait(PAUSE_S)

    def once(self, key: str) -> Told:
        """Ask once, under this key."""
        wish = self.asked[key]
        return request(self.state, wish.method, wish.path, wish.body, key=key, token=wish.token)


def excused(one: Acknowledged) -> bool:
    """Whether a refusal is what it must be: it was done, and the answer was lost."""
    kind = Told(one.status, one.body).kind
    return one.tries > 1 and one.verb in KEYLESS and kind.endswith(KEYLESS[one.verb])


class Operator(OverHttp):
    """Everything but alarms, in turn.

    Args:
        name: of letters and digits.
        state: folder of the gateway.
        signer: of manifests.
    """

    def __init__(self, name: str, state: Path, signer: Signer) -> None:
        super().__init__(name, state)
        self._signer = signer
        self._lifted: set[str] = set()
        self._turns = (
            self._rollout, self._flag, self._kill, self._labels, self._token, self._bundle, self._rehearsal,
            self._grant,
        )  # fmt: skip
        self.second = ""
        """Token of somebody else, who agrees to everything."""
        self.texts: dict[str, str] = {}
        """Of tokens that were made and heard, by name."""
        self.ending: set[str] = set()
        """Names of tokens that it has begun to end."""

    def ask(self, number: int) -> None:
        """The next of what it does."""
        turn, kind = divmod(number - 1, len(self._turns))
        self._turns[kind](turn + 1)

    def _rollout(self, turn: int) -> None:
        name = f"{self.name}-{turn}"
        self.insist(
            Wish(
                "rollout.create", name, "POST", "/v1/rollouts",
                lambda seen: name in seen.rollouts, {"id": name, "bundle": "none@1.0.0"},
            )
        )  # fmt: skip
        if turn % 2:
            self.insist(
                Wish(
                    "rollout.steer", name, "POST", f"/v1/rollouts/{name}/abort-keep",
                    lambda seen: seen.rollouts.get(name) == "aborted",
                )
            )  # fmt: skip

    def _flag(self, turn: int) -> None:
        flag, definition = f"{self.name}.{turn % FLAGS}", definition_of(turn)
        self.insist(
            Wish(
                "flag.set", flag, "PUT", f"/v1/flags/{self.name}/{flag}",
                lambda seen: seen.flags.get((self.name, flag), 0) >= turn,
                {"definition": definition}, definition,
            )
        )  # fmt: skip

    def _kill(self, turn: int) -> None:
        feature, before = f"{self.name}.{turn}", f"{self.name}.{turn - 1}"
        self.insist(
            Wish(
                "kill", feature, "PUT", f"/v1/kills/{feature}",
                lambda seen: feature in seen.killed or feature in self._lifted, None, False,
            )
        )  # fmt: skip
        if turn > 1:
            self._lifted.add(before)
            self.insist(
                Wish(
                    "kill", before, "DELETE", f"/v1/kills/{before}",
                    lambda seen: before not in seen.killed, None, True,
                )
            )  # fmt: skip

    def _labels(self, turn: int) -> None:
        device, labels = f"{self.name}-d{turn % DEVICES}", {"n": str(turn)}
        self.insist(
            Wish(
                "device.enroll", device, "PUT", f"/v1/devices/{device}/labels",
                lambda seen: int(seen.devices.get(device, {}).get("n", 0)) >= turn,
                {"labels": labels}, labels,
            )
        )  # fmt: skip

    def _token(self, turn: int) -> None:
        name = f"{self.name}-{turn}"
        told = self.insist(
            Wish(
                MAKE, name, "POST", "/v1/tokens",
                lambda seen: name in seen.tokens, {"name": name, "role": "viewer", "life": "1d"},
            )
        )  # fmt: skip
        if told.status < 300:
            self.texts[name] = json.loads(told.body)["token"]
        if told.status >= 300 or turn % 2:
            self.ending.add(name)
            self.insist(
                Wish(
                    "token.revoke", name, "DELETE", f"/v1/tokens/{name}",
                    lambda seen: seen.tokens.get(name) is False,
                )
            )  # fmt: skip

    def _bundle(self, turn: int) -> None:
        made = Bundle(turn, IMAGE_BYTES)
        manifest = msgspec.structs.replace(made.manifest, id=self.name)
        envelope = self._signer.seal(encode_manifest(manifest))
        digest = sha256(envelope).hexdigest()
        for blob in (envelope, made.hashes, made.image):
            self._sent(blob)
        self.insist(
            Wish(
                "bundle.publish", digest, "POST", "/v1/bundles",
                lambda seen: digest in seen.bundles, {"digest": digest},
            )
        )  # fmt: skip

    def _rehearsal(self, turn: int) -> None:
        """Of the bundle that was published last."""
        plan = f"{self.name}-r{turn}"
        self.insist(
            Wish(
                "rehearsal.plan", "", "POST", "/v1/rehearsals",
                lambda seen: plan in seen.rehearsals or len(seen.rehearsals) >= KEPT_MAX,
                {"id": plan, "bundle": f"{self.name}@1.{turn}.0"}, plan,
            )
        )  # fmt: skip

    def _grant(self, turn: int) -> None:
        """Ask for debug mode of a device, which somebody else must approve."""
        device, why = f"{self.name}-d{turn % DEVICES}", f"{self.name}-{turn}"
        told = self.insist(
            Wish(
                GRANT, device, "POST", "/v1/debug-grants",
                lambda seen: why in seen.approvals, {"device": device, "why": why}, why,
            )
        )  # fmt: skip
        number = json.loads(told.body)["waits"]
        self.insist(
            Wish(
                DECIDE, str(number), "POST", f"/v1/approvals/{number}/approve",
                lambda seen: seen.approvals[why] == "approved" and why in seen.grants, {"why": "yes"},
                token=self.second,
            )
        )  # fmt: skip

    def _sent(self, blob: bytes) -> None:
        """Upload a blob; it may come twice, and begins anew where a kill left a part of it."""
        path = f"/v1/blobs/{sha256(blob).hexdigest()}"
        while not 200 <= (told := request(self.state, "PUT", path, blob)).status < 300:
            assert told.status in (0, *AGAIN), f"expected {path} to be taken, found {told}"
            threading.Event().wait(PAUSE_S)


class Watch(OverHttp):
    """Acknowledges the one alarm there is, and silences it for ever new reasons."""

    def __init__(self, name: str, state: Path) -> None:
        super().__init__(name, state)
        self._alarm = 0

    def ask(self, number: int) -> None:
        """See the alarm first, then look after it."""
        if not self._alarm:
            self._alarm = self._first()
            return
        path, alarm = f"/v1/alarms/{self._alarm}", self._alarm
        if not self.asked:
            self.insist(
                Wish(
                    "alarm.ack", str(alarm), "POST", f"{path}/acknowledge",
                    lambda seen: seen.alarms[alarm][0] == "seen", {"why": "seen"},
                )
            )  # fmt: skip
        why = f"{number:06d}"
        self.insist(
            Wish(
                "alarm.silence", str(alarm), "POST", f"{path}/silence",
                lambda seen: seen.alarms[alarm][1] >= why, {"lasts": "1h", "why": why}, why,
            )
        )  # fmt: skip

    def _first(self) -> int:
        told = request(self.state, "GET", "/v1/alarms?state=open&kind=disk")
        alarms = json.loads(told.body)["alarms"] if told.status == 200 else []
        return int(alarms[0]["id"]) if alarms else 0
