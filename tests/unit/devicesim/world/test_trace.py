from devicesim.world.trace import BLOCK_ROWS, GATEWAY, ROW_INTS, Trace


def fill(trace, rows, twist=-1):
    for i in range(rows):
        trace.row(i, GATEWAY, "tick", i, int(i == twist))
        trace.breathe()


def test_the_same_rows_give_the_same_digest_however_they_were_flushed():
    one, two, blocks = Trace(), Trace(), []
    three = Trace(blocks.append)
    fill(one, 3 * BLOCK_ROWS + 5)
    fill(two, 3 * BLOCK_ROWS + 5)
    two.checkpoint(1)
    fill(three, 3 * BLOCK_ROWS + 5)
    assert one.close() == two.close() == three.close()
    assert sum(map(len, blocks)) == 8 * ROW_INTS * (3 * BLOCK_ROWS + 5)


def test_one_bit_in_one_row_changes_the_digest_and_the_checkpoints_say_where():
    def run(twist):
        trace = Trace()
        for part in range(4):
            for i in range(100):
                trace.row(i, part, "tick", 0, int(part * 100 + i == twist))
            trace.checkpoint(part)
        return trace

    good, bad = run(-1), run(250)
    assert good.close() != bad.close()
    same = [a == b for a, b in zip(good.checkpoints, bad.checkpoints, strict=True)]
    assert same == [True, True, False, False]


def test_the_names_of_kinds_belong_to_the_digest():
    one, two = Trace(), Trace()
    one.row(1, 0, "a")
    two.row(1, 0, "b")
    assert one.close() != two.close()
    assert one.rows == two.rows == 1
