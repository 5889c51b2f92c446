"""The formats of link traces, each by a small one whose meaning can be counted on fingers."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from devicesim.recordings.intervals import RecordingError
from devicesim.recordings.links import ROWS_MAX, RTT_MS, read_link, write_link

MS, S = 10**6, 10**9


def test_mahimahi_counts_packets_of_1500_bytes():
    # 10 packets in the first tenth of a second, 5 in the second: 1.2 and 0.6 Mbit/s
    text = "\n".join(str(ms) for ms in [*range(10, 101, 10), *range(120, 201, 20)])
    trace = read_link(text)
    assert trace.starts_ns == (0, 100 * MS)
    assert trace.length_ns == 200 * MS
    assert trace.down_bps == pytest.approx((1.2e6, 0.6e6))
    assert trace.rtt_ns[0] == RTT_MS * MS


def test_a_fixed_rate_link_of_one_line():
    trace = read_link("1\n")  # one packet a millisecond: 12 Mbit/s, as mm-link(1) says
    assert trace.down_bps == pytest.approx((12e6,))
    assert trace.length_ns == MS


def test_mahimahi_that_falls_is_told_by_its_line():
    with pytest.raises(
        RecordingError, match="t: line 3: expected milliseconds that rise, found 5 after 7"
    ):
        read_link("1\n7\n5\n", name="t")


def test_seconds_and_megabits():
    trace = read_link("0.0 4.5\n1.0 2\n2.0 0.5\n", rtt_ms=80)
    assert trace.starts_ns == (0, S, 2 * S)
    assert trace.down_bps == (4.5e6, 2e6, 0.5e6)
    assert (trace.length_ns, trace.rtt_ns[0]) == (3 * S, 80 * MS)


def test_a_header_names_columns_and_units():
    trace = read_link(
        "Time (s),Down kbit/s,Up kbit/s,RTT ms,Loss percent\n10,800,100,40,1\n12,400,50,90,2\n".replace(
            "Time (s)", "time"
        )
    )
    assert trace.down_bps == (8e5, 4e5)
    assert trace.up_bps == (1e5, 5e4)
    assert trace.rtt_ns == (40 * MS, 90 * MS)
    assert trace.loss == (0.01, 0.02)
    assert trace.length_ns == 4 * S


def test_akamais_columns_are_a_row_each_70_ms_and_a_loss_in_each_gap():
    trace = read_link("latency,throughput,gap,loss\n30,1000,0.7,50\n60,500,0.07,10\n")
    assert trace.starts_ns == (0, 70 * MS)
    assert trace.length_ns == 140 * MS
    assert trace.down_bps == (1e6, 5e5)
    assert trace.rtt_ns == (30 * MS, 60 * MS)
    assert trace.loss == pytest.approx((0.05, 0.1))


SCRIPT = """
if [ "$1" == "loss_based" ]
then
\tlat_array=(22 31)
\tif [ "$2" == "good" ]
\tthen
\t\tthru_array=(1000 2000)
\t\tgap_array=(0.7 0.7)
\t\tloss_array=(20 40)
\telif [ "$2" == "poor" ]
\tthen
\t\tthru_array=(10 20)
elif [ "$1" == "experience_based" ]
then
\tif [ "$2" == "good" ]
\tthen
\t\tlat_array=(50 60)
\t\tthru_array=(3 4)
"""


def test_akamais_script_is_read_by_condition():
    good = read_link(SCRIPT, condition="loss_based/good")
    assert good.rtt_ns == (22 * MS, 31 * MS)
    assert good.down_bps == (1e6, 2e6)
    assert good.loss[0] == pytest.approx(0.03)
    assert read_link(SCRIPT, condition="experience_based/good").rtt_ns == (50 * MS, 60 * MS)
    with pytest.raises(
        RecordingError, match="loss_based/good, loss_based/poor, experience_based/good"
    ):
        read_link(SCRIPT)


def test_a_short_stall_is_spread_and_a_long_one_is_an_outage():
    rates = "0 1\n1 0\n2 4\n3 1\n4 0\n5 0\n6 0\n7 0\n8 2\n"
    trace = read_link(rates)
    assert trace.down_bps == (1e6, 2e6, 1e6, 0.0, 0.0, 0.0, 0.0, 2e6)
    assert trace.starts_ns[1] == S


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty file"),
        ("hello world\n", "expected milliseconds"),
        ("a,b\n1,2\n", "header with time and bandwidth"),
        ("0 1\n0 2\n", "row 2: expected times that rise"),
        ("0 0\n1 0\n", "carry something"),
        ("0 -1\n", "rate from 0"),
        ("time,mbit,loss\n0,1,1.5\n", "loss from 0 to below 1"),
        ("time,mbit,rtt\n0,1,0\n", "round trip above 0"),
        ("time,mbit\n", "found none"),
        ("time,mbit\n0,x\n", "line 2: expected a number, found 'x'"),
        ("0 1\n1 nan\n", "line 2: expected a number"),
        ("0 1 2\n", "two columns"),
    ],
)
def test_what_is_no_trace_says_why(text, why):
    with pytest.raises(RecordingError, match=why):
        read_link(text, name="t")


def test_what_is_written_is_read_back():
    trace = read_link(
        "time,down_kbit_s,up_kbit_s,rtt,loss\n0,800,100,40,.01\n2.5,0,50,90,0\n9,3,1,1,0\n"
    )
    again = read_link(write_link(trace, "a test"))
    assert (again.starts_ns, again.down_bps, again.up_bps) == (
        trace.starts_ns,
        trace.down_bps,
        trace.up_bps,
    )
    assert (again.rtt_ns, again.loss) == (trace.rtt_ns, trace.loss)


@pytest.mark.slow
def test_too_many_lines_are_refused_without_keeping_them():
    text = "1\n" * (ROWS_MAX + 1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match=f"expected at most {ROWS_MAX} lines, found more"):
            read_link(text)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()


def test_arrays_that_never_end_take_no_time():
    start = time.process_time()
    with pytest.raises(RecordingError, match="expected --condition"):
        read_link("lat_array=(" * 30_000)
    assert time.process_time() - start < 1.0
