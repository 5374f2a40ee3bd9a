"""``sos rights notices`` and ``sos rights reviews``: what is owed to people that others were told about."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from sos.cli.options import AsJson, ConfigFile
from sos.cli.persons import Digits, TokenFile, Who, proved_supervisor
from sos.cli.rights_room import with_room
from sos.clock import timestamp
from sos.incident.obligations import outcomes
from sos.journal.owing import Owing
from sos.rights.configured import Rights
from sos.rights.dues import NOTICES, REVIEWS
from sos.settings import load

notices = typer.Typer(no_args_is_help=True, help="The later notice: with whom data was shared, and why.")
reviews = typer.Typer(no_args_is_help=True, help="The second look at what was told, within a day, by another.")

Incident = Annotated[str, typer.Argument(help="As `due` printed it.")]
Why = Annotated[str, typer.Option("--why", help="What was done, in your own words; they are sealed.")]


@notices.command("due")
def notices_due(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Which incidents' people are still to be told, the first due first."""
    _show(_due(config_file, NOTICES), as_json=as_json)


@notices.command()
def letter(incident: Incident, config_file: ConfigFile = None) -> None:
    """What the person is told; it names nobody, so that a letter can be made of it."""

    async def work(rights: Rights) -> str:
        return await rights.dues.letter(incident)

    typer.echo(with_room(load(config_file), work))


@notices.command()
def sent(
    incident: Incident,
    why: Why,
    operator: Who,
    token_file: TokenFile,
    obligation: Annotated[str, typer.Option(help="later_notification or later_explanation.")] = "later_notification",
    outcome: Annotated[str, typer.Option(help="done, cannot_reach, would_harm or known_already.")] = "done",
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say that the person was told, or why not."""
    by = proved_supervisor(load(config_file), operator, token_file, second_factor)

    async def work(rights: Rights) -> None:
        await rights.dues.met(incident, obligation=obligation, about="person", outcome=outcome, words=why, by=by)

    with_room(load(config_file), work)


@reviews.command("due")
def reviews_due(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Which tellings nobody but their decider has looked at, the first due first."""
    _show(_due(config_file, REVIEWS), as_json=as_json)


@reviews.command()
def done(
    incident: Incident,
    about: Annotated[str, typer.Argument(help="The disclosure or request, as `due` printed it.")],
    outcome: Annotated[str, typer.Option(help="in_order, too_much, wrong_ground or no_ground.")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say what the second look found; nobody looks at their own decision."""
    by = proved_supervisor(load(config_file), operator, token_file, second_factor)

    async def work(rights: Rights) -> None:
        (code,) = REVIEWS
        await rights.dues.met(incident, obligation=code, about=about, outcome=outcome, words=why, by=by)

    with_room(load(config_file), work)
    if outcome in ("too_much", "no_ground", "wrong_ground"):
        typer.echo("data may have gone to whom it should not: see the runbook «rights», «A breach»")


def _due(config_file: ConfigFile, among: frozenset[str]) -> Sequence[Owing]:
    async def work(rights: Rights) -> Sequence[Owing]:
        return await rights.dues.due(among)

    return with_room(load(config_file), work)


def _show(found: Sequence[Owing], *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        owed = each.owed
        late = f"  LATE {owed.late}" if owed.late else ""
        ends = ", ".join(sorted(outcomes(owed.obligation)))
        typer.echo(f"{each.incident}  {owed.obligation}  {owed.about}  due {timestamp(owed.due_at)}{late}  ({ends})")
    typer.echo(f"{len(found)} wait")
