"""Where a DSN points may be told, who logs in and with what may not, but only that it does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.settings.dsn import holds_password, place_of
from penstock.settings.secret import Secret


@pytest.mark.parametrize(
    ("dsn", "place"),
    [
        ("postgresql:///penstock", "postgresql:///penstock"),
        ("postgresql://db/penstock", "postgresql://db/penstock"),
        ("postgresql://joe:pw@db:5433/penstock", "postgresql://***@db:5433/penstock"),
        ("postgres://joe@[::1]:5433/x", "postgres://***@[::1]:5433/x"),
        ("postgresql://joe:p@w@db/x", "postgresql://***@db/x"),
        ("postgresql://joe:pw@a:1,b:2/x?sslmode=require", "postgresql://***@a:1,b:2/x"),
        ("postgresql:///x?host=/run/pg&user=joe&password=pw", "postgresql:///x?host=/run/pg"),
        ("postgresql://joe:12/3@db/x", "***"),
        ("postgresql://joe:12?3@db/x", "***"),
        ("postgresql://[/x", "***"),
        ("joe:pw", "***"),
    ],
)
def test_host_port_and_database_are_shown_and_nobody_who_logs_in(dsn: str, place: str) -> None:
    assert place_of(Secret(dsn)) == place


@given(st.text("abc@/?#:&=%[]", max_size=8), st.text("abc@/?#:&=%[]", max_size=8))
def test_no_password_is_shown_whatever_is_in_it(before: str, after: str) -> None:
    assert "hunter2" not in place_of(Secret(f"postgresql://joe:{before}hunter2{after}@db:1/x"))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://joe:pw@db/x",
        "postgresql://joe:p@w@a,b/x",
        "postgresql://joe:12/3@db/x",
        "postgresql://db/x?user=joe&password=pw",
        "postgresql://joe@db/x?sslkey=/k&sslpassword=pw",
        "postgresql://[/x",
    ],
)
def test_a_password_is_found_wherever_it_stands(dsn: str) -> None:
    assert holds_password(Secret(dsn))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql:///penstock",
        "postgresql://joe@db:5433/x?sslmode=require",
        "postgresql://joe@[::1]:5433/x?passfile=/etc/penstock/pgpass",
    ],
)
def test_without_a_password_none_is_found(dsn: str) -> None:
    assert not holds_password(Secret(dsn))
