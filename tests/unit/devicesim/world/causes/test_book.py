from devicesim.world.causes.book import NOTHING, CauseBook
from devicesim.world.trace import GATEWAY, WORLD


def kinds(book, node):
    return [moment.kind for moment in book.chain(node)]


def test_what_the_timeline_does_to_many_devices_has_the_timeline_as_its_cause_each_time():
    book = CauseBook()
    book.begin(NOTHING)
    book.add(5, WORLD, "fault begin partition", 2)
    book.add(5, 0, "path dark")
    book.add(5, 0, "disconnected")
    other = book.add(5, 1, "path dark")
    assert kinds(book, other) == ["fault begin partition", "path dark"]
    assert kinds(book, book.latest[0]) == ["fault begin partition", "path dark", "disconnected"]
    assert book.cause_of(WORLD) == 0, "what the timeline schedules is not caused by its last victim"


def test_a_step_begins_with_the_cause_of_its_entry():
    book = CauseBook()
    book.begin(NOTHING)
    first = book.add(1, 3, "attempt")
    book.begin(book.cause_of(3))
    assert book.here == first
    book.add(9, GATEWAY, "device.offer", words="kiosk-0003")
    book.begin(book.cause_of(None))
    last = book.add(10, 7, "heard")
    assert kinds(book, last) == ["attempt", "device.offer", "heard"]
    assert book.moment(last).at_ns == 10
    assert book.latest_of[GATEWAY, "device.offer"] == 1


def test_the_older_half_is_forgotten_and_chains_end_there():
    book = CauseBook(nodes_max=8)
    book.begin(NOTHING)
    for at in range(12):
        book.add(at, 0, "tick", words=f"n{at}")
    chain = book.chain(book.latest[0])
    assert len(book) == 12
    assert [moment.words for moment in chain] == [f"n{at}" for at in range(4, 12)]
    assert book.moment(0) is None
    assert [moment.at_ns for moment in book.of(0, 6, 8)] == [6, 7, 8]
