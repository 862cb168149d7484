"""The options by which the `dead-letters` commands choose, and what they mean together."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock.cli import moments
from penstock.errors import Reason

if TYPE_CHECKING:
    from penstock.storage.dead_letters import Selection

Tenant = Annotated[str | None, typer.Option("--tenant", help="Of this tenant.", show_default=False)]
ReasonOption = Annotated[
    Reason | None,
    typer.Option("--reason", metavar="REASON", help="With this reason.", show_default=False),
]
Status = Annotated[
    Literal["new", "replayed"] | None,
    typer.Option("--status", help="With this status.", show_default=False),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help=f"Received since then: {moments.FORM}.",
        show_default=False,
    ),
]
OlderThan = Annotated[
    str | None,
    typer.Option(
        "--older-than",
        metavar="TIME",
        help="Received before then; times as for --since.",
        show_default=False,
    ),
]


def selection_of(
    *,
    tenant: str | None,
    reason: Reason | None,
    status: Literal["new", "replayed"] | None,
    since: str | None,
    older_than: str | None,
) -> "Selection":
    """The dead letters that all given options let through; `ConfigError` for a bad time."""
    from penstock.storage.dead_letters import Selection

    now = datetime.now(UTC)
    return Selection(
        tenant=tenant,
        reason=reason,
        status=status,
        since=None if since is None else moments.moment(since, now),
        before=None if older_than is None else moments.moment(older_than, now),
    )


def described(selection: "Selection") -> str:
    """The selection in words."""
    words = ["dead letters"]
    if selection.status is not None:
        words.insert(0, selection.status)
    if selection.tenant is not None:
        words.append(f"of tenant {selection.tenant!r}")
    if selection.reason is not None:
        words.append(f"with reason {selection.reason}")
    if selection.since is not None:
        words.append(f"received since {selection.since.isoformat(timespec='seconds')}")
    if selection.before is not None:
        words.append(f"received before {selection.before.isoformat(timespec='seconds')}")
    return " ".join(["all", *words])
