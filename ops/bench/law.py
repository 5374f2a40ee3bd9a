"""How long the law takes for one request: the ordinary one, one that a person must decide, and any at all.

The peer is the least that reads as much: comparing the case's path with each row's, in the same loop, and nothing
else.  Peer and product take turns in one run, so the ratio holds on a busy machine.

    python ops/bench/law.py [--cases N]
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from datetime import date

from routing.categories import Category
from routing.law import Case, ConsentDifficulty, Danger, Fact, Path, RuleBook, evaluate
from routing.services import Recipient

DAY = date(2026, 11, 21)
BOOK = RuleBook.shipped()
BUDGET_US = 100.0


def ordinary() -> Case:
    return Case(
        jurisdiction="JP",
        live=True,
        danger="automatic_crash",
        consent_difficulty="no_answer",
        recipient_class="FIRE",
        held_categories=frozenset(Category),
        opt_out=True,
        terms="mitsubishi-connect",
    )


def any_case(draw: random.Random) -> Case:
    return Case(
        jurisdiction=draw.choice(("JP", "JP", "DE", "GB", "US", "KR")),
        path=draw.choice(tuple(Path)),
        live=draw.random() < 0.8,
        danger=draw.choice((None, *map(str, Danger))),
        consent_difficulty=draw.choice((None, *map(str, ConsentDifficulty))),
        facts=frozenset(draw.sample(tuple(Fact), draw.randrange(len(Fact)))),
        recipient_class=draw.choice(tuple(map(str, Recipient))),
        held_categories=frozenset(draw.sample(tuple(Category), draw.randrange(len(Category)))),
        named=frozenset(draw.sample(tuple(Category), draw.randrange(len(Category)))),
        opt_out=draw.random() < 0.3,
        terms=draw.choice(("", *BOOK.brands)),
    )


def read_paths(case: Case) -> list[str]:
    edition = BOOK.edition(case.jurisdiction, DAY)
    return [rule.id for rule in (edition.rule if edition else ()) if case.path in rule.paths]


def timed(work: Callable[[Case], object], case: Case) -> float:
    started = time.perf_counter_ns()
    work(case)
    return (time.perf_counter_ns() - started) / 1000


def judge(case: Case) -> object:
    return evaluate(case, rules=BOOK, as_of=DAY)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=50_000)
    count = options.parse_args().cases
    draw = random.Random(20261121)
    mixed = [any_case(draw) for _ in range(count)]
    for name, cases in (("ordinary", [ordinary()] * count), ("any", mixed)):
        product, peer = [], []
        for case in cases:
            peer.append(timed(read_paths, case))
            product.append(timed(judge, case))
        p50, p99 = statistics.median(product), statistics.quantiles(product, n=100)[98]
        ratio = p50 / statistics.median(peer)
        print(
            f"{name:<9} p50 {p50:6.1f} us   p99 {p99:6.1f} us   {ratio:4.1f} x reading the paths alone   "
            f"p99 / budget {p99 / BUDGET_US:.2f}"
        )


if __name__ == "__main__":
    main()
