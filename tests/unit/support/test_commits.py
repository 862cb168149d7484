import pytest

from tests.support.commits import Commits
from tests.support.tcp_proxy import Cut, Watch

IDLE, IN_TRANSACTION = b"I", b"T"


def message(kind: bytes, content: bytes) -> bytes:
    return kind + (4 + len(content)).to_bytes(4) + content


def answer(command: bytes, status: bytes) -> bytes:
    return message(b"C", command + b"\0") + ready(status)


def ready(status: bytes) -> bytes:
    return message(b"Z", status)


TRANSACTION = (
    answer(b"BEGIN", IN_TRANSACTION)
    + answer(b"COPY 5", IN_TRANSACTION)
    + answer(b"COPY 1", IN_TRANSACTION)
    + answer(b"COMMIT", IDLE)
)
OTHER_TRANSACTION = (
    answer(b"BEGIN", IN_TRANSACTION)
    + answer(b"COPY 5", IN_TRANSACTION)
    + answer(b"UPDATE 5", IN_TRANSACTION)
    + answer(b"COMMIT", IDLE)
)
FAILED_TRANSACTION = (
    answer(b"BEGIN", IN_TRANSACTION) + answer(b"COPY 5", IN_TRANSACTION) + answer(b"ROLLBACK", IDLE)
)
LOGGED_IN = b"N" + message(b"R", bytes(4)) + ready(IDLE)


def watching() -> tuple[Commits, Watch]:
    """A watcher of a connection whose client has just logged in."""
    commits = Commits()
    see = commits.watch()
    see(LOGGED_IN)
    commits.wanted = True
    return commits, see


def test_a_commit_is_hidden_once_the_whole_answer_is_there() -> None:
    commits, see = watching()
    for place in range(len(TRANSACTION) - 1):
        see(TRANSACTION[place : place + 1])
    with pytest.raises(Cut):
        see(TRANSACTION[-1:])
    assert (commits.hidden, commits.wanted) == (1, False)
    commits.watch()(LOGGED_IN + TRANSACTION)  # it is content then


@pytest.mark.parametrize(
    "answers",
    [OTHER_TRANSACTION, FAILED_TRANSACTION, answer(b"COPY 5", IDLE), answer(b"SELECT 1", IDLE)],
)
def test_what_is_not_the_commit_of_a_batch_passes(answers: bytes) -> None:
    commits, see = watching()
    see(answers)
    assert (commits.hidden, commits.wanted) == (0, True)


def test_a_statement_that_is_only_prepared_after_a_commit_is_none() -> None:
    commits = Commits()
    see = commits.watch()
    see(LOGGED_IN + TRANSACTION)
    commits.wanted = True
    see(message(b"1", b"") + ready(IDLE))
    assert not commits.hidden
