"""Figures are short, and never say more than they know."""

import pytest

from penstock_simulator.report import figures


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (figures.count(12_500), "12,500"),
        (figures.count(1_250_000), "1.25 M"),
        (figures.count(0.25), "0.25"),
        (figures.per_second(0), "0/s"),
        (figures.per_second(300_000), "300,000/s"),
        (figures.short_per_second(300_000), "300 k/s"),
        (figures.short_count(12_500), "12,500"),
        (figures.milliseconds(0.1234), "0.123 ms"),
        (figures.milliseconds(62.51), "62.5 ms"),
        (figures.milliseconds(1_500), "1.5 s"),
        (figures.milliseconds(0), "0 ms"),
        (figures.mebibytes(83_886_080), "80 MiB"),
        (figures.mebibytes(2_147_483_648), "2 GiB"),
        (figures.cores(0.05), "5 %"),
        (figures.cores(0.094), "9.4 %"),
        (figures.cores(1.5), "150 %"),
        (figures.percentile(0.5), "50 %"),
        (figures.percentile(0.9999), "99.99 %"),
        (figures.clock(20), "20 s"),
        (figures.clock(1.5), "1.5 s"),
        (figures.clock(125), "2:05"),
        (figures.clock(3_725), "1:02:05"),
        (figures.moment("2023-11-14T22:13:20+00:00"), "14 November 2023, 22:13:20 UTC"),
    ],
)
def test_figures_read_as_people_write_them(written: str, expected: str) -> None:
    assert written == expected
