"""A record as one HTML page that needs nothing else: no network, no script, no font.

It follows the reader's choice of light or dark, fits a telephone, and prints on paper.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files

from penstock_simulator.effort import MOST_CPU_SHARE
from penstock_simulator.knee import Verdict, told
from penstock_simulator.report import figures, plots, ramp_plots, tables
from penstock_simulator.report.charts import Chart, drawn
from penstock_simulator.report.markup import Markup, element
from penstock_simulator.report.record import Event, Record, Workload
from penstock_simulator.sampling import Column
from penstock_simulator.statement import LABELS

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M2 12 6 6l3 4 5-7' fill='none' stroke='%230f9165' stroke-width='2'/%3E%3C/svg%3E"
)


_TONES: Mapping[Verdict, str] = {
    "knee": "good",
    "end": "good",
    "simulator": "warn",
    "below": "warn",
}


def page_of(record: Record) -> str:
    """The page."""
    title = f"{record.scenario}: a run of penstock-sim"
    style = files("penstock_simulator.report").joinpath("style.css").read_text()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href=_ICON),
        element("style", Markup(style)),
    )
    body = element("body", element("main", *_main(record)), _footer(record))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _main(record: Record) -> list[Markup]:
    return [
        element(
            "header",
            element("p", "penstock-sim", f" · {_began(record)}",
                    class_="kicker"),
            element("h1", record.scenario),
            element("p", record.story, class_="story"),
            _verdict(record),
            *_warnings(record),
            _tiles(record),
            *_events(record),
        ),
        *_ramp(record),
        _charts("Throughput", plots.throughput(record)),
        _charts("Connections", plots.connections(record)),
        _charts("Latency", plots.latency(record), _card(tables.latencies(record))),
        _charts("Queue and spool", plots.depth(record), *_depth_note(record)),
        _charts("Processor and memory", plots.resources(record)),
        *_account(record),
        element("section", element("h2", "Load"), _card(tables.groups(record))),
        _setting(record),
    ]  # fmt: skip


def _verdict(record: Record) -> Markup:
    account = record.account
    if account is None:
        sent = f"{record.published:,} messages published, {record.acknowledged:,} acknowledged."
        return _banner("warn", "?", "Not judged", f"{sent} No database was asked what it holds.")
    if not account.holds:
        faults = ", ".join(f"{LABELS[name]} {n:,}" for name, n in account.faults.items())
        return _banner("bad", "✗", "It does not add up", f"{faults}.")
    letters = sum(account.dead_lettered.values())
    return _banner(
        "good",
        "✓",
        "Every reading is accounted for",
        f"{account.expected_readings:,} readings acknowledged, {account.stored_readings:,} stored"
        + (f", {letters:,} messages dead-lettered for the right reason" if letters else "")
        + ". Nothing lost, doubled, altered or invented.",
    )


def _warnings(record: Record) -> list[Markup]:
    work = record.workload
    if work is None or not work.limits or record.ramp is not None:
        return []  # a ramp says it of each step
    return [
        _banner(
            "warn",
            "!",
            "The simulator was a limit of this run",
            f"It used {figures.cores(work.cpu_share)} of a core and was late for"
            f" {figures.percentile(work.late_share)} of the time{_blamed(work)}: the figures say as"
            " much about that as about what it loaded.",
        )
    ]


def _blamed(work: Workload) -> str:
    """Whose fault it is that it was late, when the simulator had time enough."""
    busy = work.cpu_share > MOST_CPU_SHARE / 2
    return "" if busy else ", so the machine was busy with something else"


def _banner(tone: str, sign: str, text: str, detail: str) -> Markup:
    return element(
        "div",
        element("span", sign, class_="sign", aria_hidden="true"),
        element("div", element("strong", text), element("span", detail, class_="detail")),
        class_=f"verdict {tone}",
        role="note",
    )


def _tiles(record: Record) -> Markup:
    samples, committed = record.samples, record.latencies.committed
    first = committed if committed.count else record.latencies.acknowledged
    until = "committed" if committed.count else "acknowledged"
    rate = record.published / record.seconds if record.seconds else 0.0
    tiles: list[tuple[str, float | None, figures.Written, str]] = [
        ("messages published", record.published, figures.count, f"in {record.seconds:,.1f} s"),
        ("messages a second", rate, figures.count, "published, mean"),
        ("readings a second", _readings_rate(record), figures.count, "stored, mean"),
        (f"published to {until}", first.p50, figures.milliseconds, "half of them within"),
        (f"published to {until}", first.p99, figures.milliseconds, "99 % within"),
        ("daemon's processor", _mean(samples.daemon_cpu), figures.cores, "of a core, mean"),
        ("daemon's processor", _cost_us(record), figures.microseconds, "a message"),
        ("daemon's memory", _most(samples.daemon_memory_bytes), figures.mebibytes, "at most"),
    ]
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", written(value)),
                element("dd", note, class_="small"),
            )
            for name, value, written, note in tiles
            if value is not None
        ),
        class_="tiles",
    )


def _events(record: Record) -> list[Markup]:
    """What the dotted lines and the bands of the charts stand for."""
    if not record.events:
        return []
    events = sorted(record.events, key=lambda event: event.at_seconds)
    facts = [(_span(event), event.text) for event in events]
    return [element("div", _facts(facts), class_="events")]


def _span(event: Event) -> str:
    at = figures.clock(round(event.at_seconds, 1))
    if event.until_seconds is None:
        return at
    return f"{at} to {figures.clock(round(event.until_seconds, 1))}"


def _ramp(record: Record) -> list[Markup]:
    climb = record.ramp
    if climb is None:
        return []
    said = _banner(_TONES[climb.verdict], "↗", *told(climb))
    charts = element("div", *(drawn(chart) for chart in ramp_plots.ramp(climb)), class_="charts")
    return [element("section", element("h2", "Ramp"), said, charts)]


def _charts(title: str, charts: Sequence[Chart], *more: Markup) -> Markup:
    if not charts and not more:
        return Markup()
    shown = [drawn(chart) for chart in charts]
    return element("section", element("h2", title), element("div", *shown, class_="charts"), *more)


def _depth_note(record: Record) -> list[Markup]:
    """What the charts of queue and spool do not say."""
    samples = record.samples
    if not samples.spool_rows:
        return [element("p", "Nothing is known of the daemon's queue and spool.", class_="story")]
    most = _most(samples.spool_bytes)
    text = (
        f"The spool held {figures.mebibytes(most)} at most."
        if most
        else ("The spool stayed empty: the database took everything in time.")
    )
    return [element("p", text, class_="story")]


def _account(record: Record) -> list[Markup]:
    account = record.account
    if account is None:
        return []
    sent = [tables.totals(account)]
    if account.dead_lettered:
        sent.append(tables.dead_letters(account))
    both = element("div", _card(tables.invariants(account)), _card(*sent), class_="pair")
    by_tenant = [_card(tables.tenants(account))] if account.tenants else []
    return [element("section", element("h2", "Account"), both, *by_tenant)]


def _setting(record: Record) -> Markup:
    machine = record.machine
    facts = {
        "command": element("code", record.command),
        "seed": str(record.seed),
        "machine": f"{machine.processor}, {machine.cores} cores,"
        f" {figures.mebibytes(machine.memory_bytes)}",
        "system": f"{machine.system}, load {machine.load:g} at the end of the run",
        "versions": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
    }
    if record.workload is not None:
        facts["simulator"] = f"used {figures.cores(record.workload.cpu_share)} of a core"
    return element("section", element("h2", "Setting"), _card(_facts(list(facts.items()))))


def _footer(record: Record) -> Markup:
    return element(
        "footer",
        f"Written by penstock-sim {record.versions.get('penstock', '')}. The page holds everything"
        " that it shows; it loads nothing.",
    )


def _facts(facts: Sequence[tuple[str, str]]) -> Markup:
    pairs = [pair for name, fact in facts for pair in (element("dt", name), element("dd", fact))]
    return element("dl", *pairs, class_="facts")


def _card(*content: Markup) -> Markup:
    return element("div", *content, class_="card")


def _began(record: Record) -> str:
    return figures.moment(record.began_at) if record.began_at else "nothing was sent"


def _cost_us(record: Record) -> float | None:
    """What a message costs the daemon, in the seconds of which both is known."""
    samples = record.samples
    columns = zip(samples.daemon_cpu, samples.received_per_second, strict=False)
    known = [(cpu, rate) for cpu, rate in columns if cpu is not None and rate is not None]
    messages = sum(rate for _, rate in known)
    return 1e6 * sum(cpu for cpu, _ in known) / messages if messages else None


def _readings_rate(record: Record) -> float | None:
    return None if record.account is None else record.account.readings_per_second


def _mean(column: Column) -> float | None:
    known = [value for value in column if value is not None]
    return sum(known) / len(known) if known else None


def _most(column: Column) -> float | None:
    return max((value for value in column if value is not None), default=None)
