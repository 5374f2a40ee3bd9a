"""``sos severity``: what the injury-risk models say of one crash, and how well they do on measured ones."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table as Grid

from routing.errors import Malformed as Unreadable
from routing.errors import Misconfigured as Unknown
from routing.severity import DEFAULT, MODELS, Cuts, Facts, Impact, Judgement, judge
from routing.severity.check import Line, Table, read, table
from sos.cli.options import AsJson
from sos.errors import Malformed

app = typer.Typer(no_args_is_help=True, help="Injury-risk models: an aid for the operator, never a gate.")


@app.command("models")
def models(as_json: AsJson = False) -> None:
    """Every model with outcome, formula, units, range, citation and digest."""
    if as_json:
        shown = [msgspec.to_builtins(each, str_keys=True) | {"digest": each.digest} for each in MODELS.values()]
        typer.echo(msgspec.json.encode(shown).decode())
        return
    for each in MODELS.values():
        terms = "".join(f" {value:+g} {name}" for name, value in each.coefficients.items())
        typer.echo(f"{each.id}: P({each.outcome}, {each.casualty}) = 1/(1+exp(-({each.intercept:g}{terms})))")
        typer.echo(f"    {each.citation}" + (f"; {each.caution}" if each.caution else ""))


@app.command("score")
def score_one(
    delta_v_kmh: Annotated[float | None, typer.Option(help="Velocity change, km/h; unknown without.", min=0)] = None,
    closing_kmh: Annotated[float | None, typer.Option(help="Closing speed, km/h.", min=0)] = None,
    age: Annotated[float | None, typer.Option(help="Age in years.", min=0)] = None,
    impact: Annotated[Impact | None, typer.Option(help="Where it was hit.")] = None,
    airbag: Annotated[bool | None, typer.Option("--airbag/--no-airbag", help="An airbag has deployed.")] = None,
    answers: Annotated[bool | None, typer.Option("--answers/--no-answer", help="Somebody in the car answers.")] = None,
    rollover: Annotated[bool | None, typer.Option("--rollover/--no-rollover")] = None,
    ejected: Annotated[bool | None, typer.Option("--ejected/--not-ejected")] = None,
    fire: Annotated[bool | None, typer.Option("--fire/--no-fire")] = None,
    submersed: Annotated[bool | None, typer.Option("--submersed/--not-submersed")] = None,
    pedestrian: Annotated[bool | None, typer.Option("--pedestrian/--no-pedestrian")] = None,
    by: Annotated[str, typer.Option("--model", help="See `sos severity models`.")] = DEFAULT,
    attention: Annotated[float, typer.Option(help="Risk at which attention is raised.")] = Cuts().attention,
    severe: Annotated[float, typer.Option(help="Risk that counts as severe.")] = Cuts().severe,
    as_json: AsJson = False,
) -> None:
    """Judge one crash.  What is not given is unknown, never zero or no."""
    facts = Facts(
        delta_v_kmh=delta_v_kmh,
        closing_kmh=closing_kmh,
        age_years=age,
        impact=impact,
        airbag_deployed=airbag,
        answers=answers,
        rollover=rollover,
        ejected=ejected,
        fire=fire,
        submersed=submersed,
        pedestrian=pedestrian,
    )
    try:
        judged = judge(facts, by=by, cuts=Cuts(attention=attention, severe=severe))
    except Unknown as wrong:
        raise typer.BadParameter(str(wrong)) from wrong
    typer.echo(msgspec.json.encode(judged).decode() if as_json else _said(judged))


@app.command("table")
def show_table(
    file: Annotated[Path, typer.Argument(help="Occupants of NASS-CDS (CSV).", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Calibration, ranking, sensitivity and specificity of every model on measured crashes, survey-weighted."""
    try:
        made = table(read(file.read_text(encoding="utf-8-sig")))
    except (Unreadable, UnicodeDecodeError) as wrong:
        field = wrong.field if isinstance(wrong, Unreadable) else "$"
        raise Malformed(f"{file.name}: {wrong} ({field})", field=field) from wrong
    if as_json:
        typer.echo(msgspec.json.encode(made).decode())
    else:
        _show(made)


def _said(judged: Judgement) -> str:
    why = f" ({', '.join(judged.reasons)})" if judged.reasons else ""
    if judged.score is None:
        return f"{judged.level}{why}; {judged.chosen} needs something that is unknown"
    flags = f" [{', '.join(judged.score.flags)}]" if judged.score.flags else ""
    return f"{judged.level}{why}; P({judged.score.outcome}) = {judged.score.risk:.2%} by {judged.chosen}{flags}"


def _show(made: Table) -> None:
    console = Console(width=132)
    grid = Grid(title="Models on measured crashes, survey-weighted")
    for column in ("model", "outcome", "n", "cases", "observed", "predicted", "AUC"):
        grid.add_column(column, no_wrap=True)
    for at in made.lines[0].cuts:
        grid.add_column(f"se/sp {at.risk:.0%}", no_wrap=True)
    for line in made.lines:
        grid.add_row(*_row(line))
    console.print(grid)
    for line in made.lines:
        bins = "  ".join(
            f"{one.low:.0%}-{one.high:.0%}: n {one.occupants}, {_percent(one.predicted)} -> {_percent(one.observed)}"
            for one in line.calibration
        )
        console.print(f"{line.model}  predicted -> observed\n    {bins}", soft_wrap=True)
    console.print("left out: " + ", ".join(f"{why} {count}" for why, count in made.left_out.items()))
    for model, needs in made.not_applicable.items():
        console.print(f"not tried: {model} needs {needs}")


def _row(line: Line) -> list[str]:
    cuts = [f"{_rate(at.sensitivity)}/{_rate(at.specificity)}" for at in line.cuts]
    figures = [f"{line.observed:.2%}", f"{line.predicted:.2%}", _rate(line.auc, places=3)]
    return [line.model, line.outcome, str(line.occupants), str(line.cases), *figures, *cuts]


def _rate(value: float | None, *, places: int = 2) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
