"""The tables of a record: its account, its tenants, its groups, its latencies."""

from collections.abc import Sequence

from penstock_simulator.account import Account
from penstock_simulator.percentiles import Percentiles
from penstock_simulator.report import figures
from penstock_simulator.report.markup import Markup, element, joined
from penstock_simulator.report.record import Record
from penstock_simulator.statement import LABELS

_NONE = "\N{EN DASH}"
_MEANINGS = {
    "lost": "acknowledged readings that are neither stored nor dead-lettered",
    "duplicates": "rows beyond the first for the same reading",
    "corrupt": "rows that do not hold what was sent",
    "invented": "rows and dead letters that nothing sent explains",
    "both": "readings in both places",
    "refused": "readings refused without a reason",
    "misjudged": "malformed messages under another reason than theirs",
}


def invariants(account: Account) -> Markup:
    """The counts that must be 0."""
    rows = []
    for name in account.INVARIANTS:
        number = getattr(account, name)
        head = element("th", LABELS[name], element("small", _MEANINGS[name]), scope="row")
        verdict = element("td", f"{number:,} {_sign(number)}", class_=_class_of(number))
        rows.append(element("tr", head, verdict))
    return _table("What must be 0", ("", "found"), rows)


def totals(account: Account) -> Markup:
    """What was sent and what was stored."""
    rows = [
        ("messages published", account.published),
        ("messages acknowledged", account.acknowledged),
        ("readings of acknowledged messages", account.expected_readings),
        ("readings stored", account.stored_readings),
        ("dead letters again, after a crash", account.repeated_dead_letters),
        ("readings stamped anew, after a crash", account.restamped),
    ]
    return _table(
        "What was sent, and what became of it",
        ("", "count"),
        [_row(name, f"{number:,}") for name, number in rows if number or "after" not in name],
    )


def dead_letters(account: Account) -> Markup:
    """Why messages were refused."""
    rows = [_row(reason, f"{number:,}") for reason, number in account.dead_lettered.items()]
    return _table("Dead letters by reason", ("", "messages"), rows)


def tenants(account: Account) -> Markup:
    """The part of each tenant."""
    heads = ("tenant", "published", "acknowledged", "expected", "stored", "dead-lettered", "lost")
    rows = []
    for name, tenant in account.tenants.items():
        counts = (
            tenant.published,
            tenant.acknowledged,
            tenant.expected_readings,
            tenant.stored_readings,
            tenant.dead_lettered,
        )
        lost = element("td", f"{tenant.lost:,}", class_=_class_of(tenant.lost))
        cells = [element("td", f"{number:,}") for number in counts]
        rows.append(element("tr", element("th", name, scope="row"), *cells, lost))
    return _table(
        "By tenant: messages published, acknowledged and dead-lettered; readings expected, which"
        " are those of acknowledged messages, stored and lost",
        heads,
        rows,
    )


def latencies(record: Record) -> Markup:
    """Percentiles, of all and of each group."""
    named = [("", record.latencies)]
    if len(record.groups) > 1:
        named += [(f"{group.name}: ", group.latencies) for group in record.groups]
    rows = [
        _percentiles_row(f"{name}published to {end}", percentiles)
        for name, each in named
        for end, percentiles in (("acknowledged", each.acknowledged), ("committed", each.committed))
        if percentiles.count
    ]
    heads = ("", "messages", "p50", "p90", "p99", "p99.9", "greatest")
    return _table("From when a message was due to be sent", heads, rows)


def groups(record: Record) -> Markup:
    """What the load consisted of."""
    heads = ("group", "type", "shape", "QoS", "tenants", "devices", "connections", "published")
    rows = []
    for group in record.groups:
        fleet = group.fleet
        devices = fleet["tenants"] * fleet["devices"]
        rows.append(
            _row(
                group.name,
                str(fleet["type"]),
                str(fleet["shape"]),
                str(fleet["qos"]),
                f"{fleet['tenants']:,}",
                f"{devices:,}",
                f"{fleet['lanes']:,}",
                f"{group.published:,}",
            )
        )
    return _table("What was published", heads, rows)


def _percentiles_row(name: str, percentiles: Percentiles) -> Markup:
    values = (
        percentiles.p50,
        percentiles.p90,
        percentiles.p99,
        percentiles.p999,
        percentiles.max,
    )
    cells = (_NONE if value is None else figures.milliseconds(value) for value in values)
    return _row(name, f"{percentiles.count:,}", *cells)


def _row(name: str, *cells: str) -> Markup:
    return element("tr", element("th", name, scope="row"), *(element("td", c) for c in cells))


def _table(caption: str, heads: Sequence[str], rows: Sequence[Markup]) -> Markup:
    # An empty head would be read out as one; a cell is not.
    cells = (element("th", h, scope="col") if h else element("td", "") for h in heads)
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *cells)),
        element("tbody", joined(rows)),
    )
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _sign(faults: int) -> str:
    return "✗" if faults else "✓"


def _class_of(faults: int) -> str:
    return "fault" if faults else "ok"
