import pytest

from tests.support.commits import Commit, Commits
from tests.support.tcp_proxy import Cut, Watch

IDLE, IN_TRANSACTION = b"I", b"T"


def message(kind: bytes, content: bytes) -> bytes:
    return kind + (4 + len(content)).to_bytes(4) + content


def answer(command: bytes, status: bytes) -> bytes:
    return message(b"C", command + b"\0") + ready(status)


def ready(status: bytes) -> bytes:
    return message(b"Z", status)


COPY = answer(b"COPY 5", IDLE)
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
LOGGED_IN = b"N" + message(b"R", bytes(4)) + ready(IDLE)


def watching(wanted: Commit) -> tuple[Commits, Watch]:
    """A watcher of a connection whose client has just logged in."""
    commits = Commits()
    see = commits.watch()
    see(LOGGED_IN)
    commits.wanted = wanted
    return commits, see


@pytest.mark.parametrize(
    ("wanted", "answers"), [(Commit.STATEMENT, COPY), (Commit.TRANSACTION, TRANSACTION)]
)
def test_a_commit_is_hidden_once_the_whole_answer_is_there(wanted: Commit, answers: bytes) -> None:
    commits, see = watching(wanted)
    for place in range(len(answers) - 1):
        see(answers[place : place + 1])
    with pytest.raises(Cut):
        see(answers[-1:])
    assert (commits.hidden[wanted], commits.wanted) == (1, None)
    commits.watch()(LOGGED_IN + answers)  # it is content then


@pytest.mark.parametrize(
    ("wanted", "answers"),
    [
        (Commit.STATEMENT, TRANSACTION),
        (Commit.STATEMENT, OTHER_TRANSACTION),
        (Commit.STATEMENT, answer(b"SELECT 1", IDLE)),
        (Commit.TRANSACTION, COPY),
        (Commit.TRANSACTION, OTHER_TRANSACTION),
        (Commit.TRANSACTION, answer(b"BEGIN", IN_TRANSACTION) + answer(b"ROLLBACK", IDLE)),
    ],
)
def test_what_is_not_wanted_passes(wanted: Commit, answers: bytes) -> None:
    commits, see = watching(wanted)
    see(answers)
    assert commits.wanted is wanted


def test_a_statement_that_is_only_prepared_after_a_copy_is_no_commit() -> None:
    commits = Commits()
    see = commits.watch()
    see(LOGGED_IN + COPY)
    commits.wanted = Commit.STATEMENT
    see(message(b"1", b"") + ready(IDLE))
    assert not commits.hidden
