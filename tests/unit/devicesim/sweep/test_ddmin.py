from hypothesis import given
from hypothesis import strategies as st

from devicesim.sweep.ddmin import ddmin


def first_failing(fails, log):
    def answer(candidates):
        for index, candidate in enumerate(candidates):
            log.append(candidate)
            if fails(candidate):
                return index
        return None

    return answer


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=4))
    )
)
def test_exactly_the_guilty_are_left_in_their_order(case):
    n, guilty = case
    log = []
    found = ddmin(list(range(n)), first_failing(lambda part: guilty <= set(part), log))
    assert found == sorted(guilty)
    assert len(log) <= n * n + 3 * n + 4, "the bound of the paper"


def test_no_item_can_be_spared_where_parts_depend_on_each_other():
    def fails(part):  # 7 only together with 2; and something of the first half
        return 7 in part and 2 in part and bool(set(part) & {0, 1})

    found = ddmin(list(range(10)), first_failing(fails, []))
    assert fails(found)
    assert not any(fails([x for x in found if x != one]) for one in found)
    assert ddmin([], first_failing(fails, [])) == []
