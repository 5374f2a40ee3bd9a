"""``sos law``: what the disclosure rules say of a case, row by row, and whether the rule files are sound."""

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from routing.errors import Malformed
from routing.errors import Misconfigured as WrongRules
from routing.law import Case, Restriction, Rule, RuleBook, Tried, Verdict, evaluate, read_case
from sos.cli.options import AsJson, Exit
from sos.clock import SystemClock
from sos.errors import Misconfigured

law = typer.Typer(no_args_is_help=True, help="The disclosure rules: explain a case, check the files.")

Rules = Annotated[
    Path | None, typer.Option("--rules", envvar="SOS_RULES", help="Folder of rule files; the shipped ones without.")
]

_WHY = {
    "mode": "does not hold in this mode",
    "not_live": "needs an open incident",
    "still_live": "holds only after the incident",
    "no_danger": "first limb missing: none of its dangers is named",
    "no_consent_difficulty": "second limb missing: none of its difficulties of consent is named",
    "recipient": "does not name this recipient",
    "nothing_named": "permits only what is named, and nothing is",
    "opt_out": "does not override the person's wish that nothing be shared",
    "terms": "the customer's terms have no clause for it",
    "terms_recipient": "the clause of the customer's terms does not name this recipient",
    "missing": "needs {}",
    "none_of": "needs one of {}",
    "forbidden": "does not hold with {}",
    "terms_require": "the clause of the customer's terms needs {}",
    "ground": "its ground does not carry this",
}


@law.command()
def explain(
    case_file: Annotated[Path, typer.Argument(help="The case as JSON; - reads standard input.", metavar="CASE")],
    rules: Rules = None,
    as_of: Annotated[
        str | None, typer.Option(help="Day whose law applies, as 2026-11-21; today without.", metavar="DAY")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which rows were tried, why each did not fire, and which did.  Exit code 1 when the case cannot be read."""
    book = _book(rules)
    case = _case(case_file)
    day = _day(as_of)
    verdict = evaluate(case, rules=book, as_of=day)
    if as_json:
        told = {"as_of": day, "rules": book.dataset, "case": case, "verdict": verdict}
        typer.echo(msgspec.json.encode(told).decode())
        return
    typer.echo(_explained(case, verdict, book, day))


@law.command()
def check(rules: Rules = None, as_json: AsJson = False) -> None:
    """Read the rule files and say what is in force; exit code 78 when one is empty, unknown or contradictory."""
    book = _book(rules)
    editions = [
        {
            "name": edition.name,
            "jurisdictions": sorted({edition.jurisdiction} | edition.covers),
            "law_version": edition.law_version,
            "valid_from": edition.valid_from,
            "valid_to": edition.valid_to,
            "rules": [rule.id for rule in edition.rule] + [each.id for each in edition.restriction],
        }
        for edition in book.editions
    ]
    if as_json:
        told = {"rules": book.dataset, "editions": editions, "terms": book.brands, "last": book.default.id}
        typer.echo(msgspec.json.encode(told).decode())
        return
    for edition in book.editions:
        until = f" to {edition.valid_to}" if edition.valid_to else ""
        typer.echo(
            f"{edition.name}: {edition.law_version}, in force from {edition.valid_from}{until}, "
            f"{len(edition.rule)} rows, {len(edition.restriction)} restrictions"
        )
    typer.echo(f"terms: {', '.join(book.brands)}")
    typer.echo(f"last row: {book.default.id}\nok    {book.dataset}")


def _book(rules: Path | None) -> RuleBook:
    try:
        return RuleBook.shipped() if rules is None else RuleBook.load(rules)
    except WrongRules as wrong:
        raise Misconfigured(str(wrong)) from wrong


def _case(file: Path) -> Case:
    """The case; ends with code 2 when there is no such file and 1 when it holds none."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as fault:
        raise typer.BadParameter(f"{file} cannot be read: {fault.strerror}", param_hint="CASE") from fault
    try:
        return read_case(data)
    except Malformed as fault:
        typer.echo(f"sos: {file} is no case: {fault} (at {fault.field})", err=True)
        raise typer.Exit(Exit.REFUSED) from fault


def _day(text: str | None) -> date:
    if text is None:
        return SystemClock().now().date()
    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        raise typer.BadParameter("give a day as 2026-11-21", param_hint="--as-of") from fault


def _explained(case: Case, verdict: Verdict, book: RuleBook, day: date) -> str:
    edition = book.edition(case.jurisdiction, day)
    rows = edition.rule if edition else ()
    where = f"{edition.name} ({edition.law_version})" if edition else f"no rules for {case.jurisdiction!r}"
    lines = [f"{where} on {day}, path {case.path}"]
    lines += [_row(rule, verdict) for rule in rows]
    lines += [_restriction(each, case, verdict) for each in (edition.restriction if edition else ())]
    last = book.default
    fired = verdict.rule == last.id
    lines.append(f"FIRED {last.id}: {last.title}" if fired else f"-     {last.id} ({last.title}): a row above fits")
    return "\n".join([*lines, "", *_outcome(verdict)])


def _row(rule: Rule, verdict: Verdict) -> str:
    named = f"{rule.id} ({rule.title})"
    tried = next((each for each in verdict.tried if each.rule == rule.id), None)
    if rule.id == verdict.rule:
        return f"FIRED {rule.id}: {rule.title}; {rule.provision}"
    if rule.id in verdict.also:
        return f"+     {rule.id}: {rule.title}; {rule.provision}"
    if tried is None and verdict.rule in {each.rule for each in verdict.tried}:
        return f"-     {named}: fits, but {verdict.rule} holds it back"
    if tried is None:
        return f"-     {named}: fits, but an earlier row decided"
    if tried.why == "path":
        return f"-     {named}: holds for {', '.join(sorted(rule.paths))}"
    return f"-     {named}: {_say(tried)}"


def _restriction(each: Restriction, case: Case, verdict: Verdict) -> str:
    """What has to hold besides: met, not met, or not asked."""
    if each.id == verdict.rule:
        tried = next(tried for tried in verdict.tried if tried.rule == each.id)
        return f"FIRED {each.id}: {each.title}: {_say(tried)}; {each.provision}"
    if each.id in verdict.also:
        return f"+     {each.id}: {each.title}; {each.provision}"
    why = f"{each.fact} is not so" if each.fact not in case.facts else "no row permits anything to restrict"
    return f"-     {each.id} ({each.title}): {why}"


def _say(tried: Tried) -> str:
    code, _, what = tried.why.partition(":")
    return _WHY[code].format(what.replace(",", ", "))


def _outcome(verdict: Verdict) -> list[str]:
    told = {
        "outcome": str(verdict.outcome),
        "ground": ", ".join(verdict.grounds),
        "provision": verdict.provision,
        "clause": verdict.clause,
        "opt-out": f"overridden {verdict.opt_out_clause}".strip() if verdict.opt_out_overridden else "",
        "categories": f"{' '.join(verdict.categories)}{' (taken in)' if verdict.inbound else ''}",
        "withheld": " ".join(verdict.withheld),
        "without": " ".join(verdict.without),
        "in words": " ".join(verdict.statements),
        "record": " ".join(verdict.record),
        "possible": " ".join(verdict.offers),
    }
    return [f"{name:<11} {value}" for name, value in told.items() if value]
