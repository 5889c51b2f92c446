"""Unit-test twin of `devicesim/models/link_class.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MS
from devicesim.models.link_class import (
    TABLE_ROWS,
    LinkBook,
    LinkSpec,
    QualityClass,
    QualityTables,
    Rates,
)


def at(table, share):
    return table[round(share * TABLE_ROWS)]


def test_tables_have_the_percentiles_that_the_class_names():
    quality = QualityClass(39.3, Rates(7170, 1856, 8502), Rates(100), rtt_ms_p95=236)
    assert at(quality.rtt_table_ns(), 0.5) == pytest.approx(39.3 * MS, rel=0.02)
    assert at(quality.rtt_table_ns(), 0.95) == pytest.approx(236 * MS, rel=0.05)
    down = quality.down_kbit_s.table_bps()
    assert at(down, 0.05) == pytest.approx(1.856e6, rel=0.05)
    assert at(down, 0.5) == pytest.approx(7.170e6, rel=0.02)
    assert at(down, 0.95) == pytest.approx(8.502e6, rel=0.02)
    assert set(quality.up_kbit_s.table_bps()) == {100_000.0}, "a preset does not vary"


def test_weights_are_kept_and_no_class_is_forgotten(book):
    spec = LinkSpec({"akamai-good": 0.7, "akamai-poor": 0.299, "2g": 0.001})
    choice = QualityTables(spec, book.classes).choice
    assert len(choice) == TABLE_ROWS
    assert choice.count(0) == pytest.approx(0.7 * TABLE_ROWS, abs=1)
    assert choice.count(2) >= 1


def test_the_shipped_book_has_the_classes_that_users_know(book):
    assert book.classes["slow-3g"].rtt_ms_p50 == 400
    assert book.classes["fast-3g"].down_kbit_s.p50 == 1600
    assert book.classes["dsl"].up_kbit_s.p50 == 256
    for name in (
        "lte-good",
        "lte-fair",
        "lte-poor",
        "fcc-dsl",
        "wifi-lossy",
        "satellite",
        "ethernet",
    ):
        assert name in book.links
    losses = [
        book.classes[f"akamai-{n}"].loss for n in ("good", "fair", "passable", "poor", "very-poor")
    ]
    assert losses == sorted(losses)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rates(0.0),
        lambda: Rates(100.0, 200.0),
        lambda: Rates(100.0, 50.0, 80.0),
        lambda: QualityClass(0.0, Rates(1.0), Rates(1.0)),
        lambda: QualityClass(9.0, Rates(1.0), Rates(1.0), rtt_ms_p95=5.0),
        lambda: QualityClass(9.0, Rates(1.0), Rates(1.0), loss=1.0),
        lambda: QualityClass(9.0, Rates(1.0), Rates(1.0), burst_packets=0.5),
        lambda: LinkSpec({}),
        lambda: LinkSpec({"a": 0.0}),
        lambda: LinkSpec({"a": 1.0}, epoch_s=(300.0, 30.0)),
        lambda: LinkBook({}, {"x": LinkSpec({"a": 1.0})}),
    ],
)
def test_nonsense_is_refused_with_what_was_expected(make):
    with pytest.raises(ValueError, match="expected"):
        make()
