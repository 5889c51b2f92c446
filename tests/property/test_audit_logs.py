"""Whatever is done to a stored log is found, and a sound one is never accused."""

import hypothesis.strategies as st
import msgspec
from hypothesis import assume, given, settings
from msgspec.structs import replace

from gateway.core import rows as core_rows
from gateway.core.audit.chain import digest_of, verify
from gateway.core.audit.journal import Journal
from gateway.core.audit.rows import AuditRow, entry_key
from gateway.core.audit.stored import read_entries
from gateway.core.audit.tail import Tail, tail_of
from tests_kit.audit_logs import AUDITOR, SIGNER, Log, begun, entry, log_of

FIELDS = [f.name for f in msgspec.structs.fields(AuditRow)]
quick = settings(derandomize=True, deadline=None, max_examples=150)
lengths = st.integers(1, 8)
words = st.text(st.characters(codec="utf-8"), max_size=12)
entries = st.builds(
    lambda actor, verb, subject, arguments, said: entry(
        actor=actor, verb=verb, subject=subject, arguments=arguments, said=tuple(said)
    ),
    words, words, words, st.binary(max_size=30), st.lists(words, max_size=3),
)  # fmt: skip


def judged(stored, head, witnesses=()):
    found = []
    found += verify(read_entries(stored, found), head, AUDITOR, witnesses)
    return found


@quick
@given(st.lists(entries, max_size=10), st.data())
def test_a_sound_log_is_never_accused(wanted, data):
    log = Log().write(*wanted)
    witnesses = data.draw(st.lists(st.sampled_from(log.heads), max_size=4)) if log.heads else []
    assert judged(log.stored, log.head, witnesses) == []


@quick
@given(lengths, st.data())
def test_an_edit_of_any_field_is_found(count, data):
    log = log_of(count)
    place, field = data.draw(st.integers(0, count - 1)), data.draw(st.sampled_from(FIELDS))
    row = log.rows[place]
    old = getattr(row, field)
    kinds = {int: st.integers(0, 2**40), str: words, bytes: st.binary(max_size=40)}
    new = data.draw(kinds.get(type(old), st.lists(words, max_size=3).map(tuple)))
    assume(new != old)
    stored = log.stored
    stored[place] = (stored[place][0], core_rows.encode(replace(row, **{field: new})))
    assert judged(stored, log.head)


@quick
@given(lengths, st.data())
def test_an_edit_of_any_byte_is_found(count, data):
    log = log_of(count)
    place = data.draw(st.integers(0, count - 1))
    key, old = log.stored[place]
    at = data.draw(st.integers(0, len(old) - 1))
    new = bytearray(old)
    new[at] ^= data.draw(st.integers(1, 255))
    stored = log.stored
    stored[place] = (key, bytes(new))
    assert judged(stored, log.head)


@quick
@given(lengths, st.data())
def test_a_cut_anywhere_is_found(count, data):
    log = log_of(count)
    kept = data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    stored = log.stored
    assert judged([stored[place] for place in sorted(kept)], log.head)


@quick
@given(st.integers(2, 8), st.data())
def test_another_order_is_found(count, data):
    log = log_of(count)
    order = data.draw(st.permutations(range(count)))
    assume(list(order) != list(range(count)))
    stored = log.stored
    assert judged([stored[place] for place in order], log.head), "rows given in another order"
    moved = [(stored[to][0], stored[place][1]) for to, place in enumerate(order)]
    assert judged(moved, log.head), "rows under each other's keys"


@quick
@given(lengths, st.data())
def test_a_duplicate_is_found(count, data):
    log = log_of(count)
    place, to = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count))
    stored = log.stored
    stored.insert(to, (f"{stored[place][0]}+", stored[place][1]))
    assert judged(stored, log.head)


@quick
@given(lengths, st.integers(1, 4), st.data())
def test_a_fork_without_the_key_is_found_and_one_with_it_by_a_witness(count, more, data):
    log = log_of(count)
    start = data.draw(st.integers(0, count - 1))
    fork = log_of(start)
    fork.write(*(entry(number, actor="eve") for number in range(start + 1, start + 1 + more)))
    assert judged(fork.stored, log.head), "another history under the old head"
    assert judged(fork.stored, fork.head) == [], "whoever has the key can do this, alone"
    seen = data.draw(st.sampled_from(log.heads[start:]))
    assert judged(fork.stored, fork.head, [seen])


@quick
@given(lengths, st.data())
def test_a_log_that_was_rolled_back_head_and_all_is_found_by_a_witness(count, data):
    log = log_of(count)
    back = data.draw(st.integers(0, count - 1))
    early = log_of(back)
    assert judged(early.stored, early.head) == []
    seen = data.draw(st.sampled_from(log.heads[back:]))
    assert judged(early.stored, early.head, [seen])


def _tail(log, kept):
    rows = log.rows
    there = next((row for row in rows if kept and row.number == kept.number), None)
    return tail_of(rows[-1] if rows else None, log.head, AUDITOR, kept, there)


@quick
@given(lengths, st.sampled_from(["cut", "head", "turned", "added", "edited", "rolled"]), st.data())
def test_a_gateway_that_goes_on_after_it_does_not_cover_it_up(count, attack, data):
    log, kept = log_of(count), None
    back = data.draw(st.integers(0, count - 1))
    if attack in ("cut", "turned"):
        for number in range(back + 1, count + 1):
            del log.entries[entry_key(number)]
    match attack:
        case "head":
            log.head = None
        case "turned" if back:
            log.head = replace(log.head, number=back, digest=digest_of(log.rows[-1]))
        case "added":
            forger = Journal(SIGNER)
            forger.restore(Tail(count, digest_of(log.rows[-1])), ())
            row = forger.write(entry(actor="eve"), 1)[0]
            log.entries[row.key] = row.row
        case "edited":
            log.entries[entry_key(count)] = replace(log.rows[-1], actor="eve")
        case "rolled":
            kept, log = log.heads[-1], log_of(back)
    tail = _tail(log, kept)
    assert tail.findings, "not noticed at the start"
    journal = begun(tail)
    for number in range(data.draw(st.integers(1, 4))):
        log.take(journal.write(entry(number), 1))
    assert judged(log.stored, log.head), f"{attack}: covered up by what was written after it"
