import pytest
import typer

from penstock.cli.exits import ExitCode, expected_errors
from penstock.errors import ConfigError, FatalError, PenstockError, Retryable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("routes[0].topic: is empty"), ExitCode.CONFIG),
        (FatalError("the database is newer"), ExitCode.FATAL),
        (Retryable("the database cannot be reached"), ExitCode.FATAL),
    ],
)
def test_an_expected_error_ends_with_its_text_and_its_status(
    error: PenstockError, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end, expected_errors():
        raise error
    assert end.value.exit_code == code
    printed = capsys.readouterr()
    assert str(error) in printed.err
    assert printed.out == ""


def test_any_other_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), expected_errors():
        _ = 1 / 0
