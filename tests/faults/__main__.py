"""`make faults`: breaks Penstock in every way that it has to survive, and reports what was lost.

Exit status: 0 when every promise was kept, 1 when one was not.
"""

import argparse
import sys
from pathlib import Path

from tests.faults import report, runner
from tests.faults.catalogue import EXPERIMENTS

RESULTS = Path(".sandbox", "faults")


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    plan = runner.Plan(
        seed=options.seed,
        short=options.short,
        build=options.build,
        folder=(options.results or _folder_of(options)).absolute(),
    )
    if options.one is not None:
        print(report.line(runner.run_one(plan, options.one)))
        return 0
    plan.folder.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        # Those of the others stay: a long run that was interrupted can still be resumed.
        for number in options.only:
            plan.result_path(number).unlink(missing_ok=True)
    results = []
    for result in runner.run_all(plan, options.only, options.jobs):
        print(report.line(result), flush=True)
        results.append(result)
    results.sort(key=lambda result: result.fault)
    print("\n".join(["", *report.table(results)]))
    if options.report is not None:
        report.save(results, options.report)
    return 0 if all(result.held for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--only", type=_numbers, default=list(EXPERIMENTS), metavar="N[,N…]", help="some of them"
    )
    parser.add_argument("--seed", type=int, default=1, help="what is random follows from it")
    parser.add_argument("--short", action="store_true", help="the short form of each")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--resume", action="store_true", help="keep the results that are there")
    parser.add_argument("--report", type=Path, help="write JSON here, and Markdown beside it")
    parser.add_argument("--build", help="a build that is broken on purpose")
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    unknown = [number for number in numbers if number not in EXPERIMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no experiment {unknown[0]}")
    return numbers


def _folder_of(options: argparse.Namespace) -> Path:
    form = "short" if options.short else "long"
    return RESULTS / "-".join([form, str(options.seed), *filter(None, [options.build])])


if __name__ == "__main__":
    sys.exit(main())
