"""``sos rights``: requests of people about their own data, from the letter to the answer.

The commands work on the database the settings name and may run beside a running service.  Who gives one is a supervisor
of the settings, with the desk token and the second factor where one is set.  Who asks and what they say is read from a
file or from standard input, never from the command line, which every program of the machine can see.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.progress import Progress

from routing.categories import Category
from sos.cli import breach, dues
from sos.cli.options import AsJson, ConfigFile
from sos.cli.persons import Digits, TokenFile, Who, proved_supervisor
from sos.cli.retention import made_due
from sos.cli.rights_room import with_room
from sos.clock import timestamp
from sos.errors import Malformed, Misconfigured
from sos.incident.model import SubjectId
from sos.retention.disposals import Told
from sos.rights.changing import Correction, value_of
from sos.rights.configured import Rights
from sos.rights.desk import Asked, Shown
from sos.rights.ledger import HOUSE
from sos.rights.request import RightsRequest
from sos.rights.search import Claim, Found
from sos.rights.terms import configured
from sos.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="What people ask about their own data, and what they are answered.")

Result = TypeVar("Result")

Request = Annotated[str, typer.Argument(help="As `sos rights receive` printed it.")]
Why = Annotated[str, typer.Option("--why", help="In your own words; they are sealed.")]
Person = Annotated[Path, typer.Option("--person", help="JSON: name, tel, vehicles, words, contact; - for stdin.")]


app.add_typer(dues.notices, name="notices")
app.add_typer(dues.reviews, name="reviews")
app.add_typer(breach.app, name="breach")


@app.command()
def receive(
    right: Annotated[str, typer.Option(help="disclosure, provision_records, correction, addition, deletion ...")],
    person: Person,
    operator: Who,
    token_file: TokenFile,
    channel: Annotated[str, typer.Option(help="letter, counter, telephone or mail.")] = "letter",
    brand: Annotated[str, typer.Option(help="The brand that was asked; the house itself without.")] = HOUSE,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Take a request in; prints its id and by when it is to be answered."""
    asked = Asked(right=right, channel=channel, claim=_claim(person), brand=brand)
    settings = load(config_file)
    if brand != HOUSE and brand not in {each.id for each in settings.tenants}:
        raise Misconfigured(f"{brand} is no brand of these settings")
    by = proved_supervisor(settings, operator, token_file, second_factor)
    state = with_room(settings, lambda rights: rights.desk.receive(asked, by=by))
    typer.echo(f"{state.request}\ndue {_due(state)}")


@app.command()
def check(
    request: Request,
    why: Why,
    operator: Who,
    token_file: TokenFile,
    shown: Annotated[
        list[str] | None, typer.Option(help="What was shown, such as driving_licence; repeatable.")
    ] = None,
    not_the_person: Annotated[bool, typer.Option("--not-the-person", help="It is refused at once.")] = False,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say whether it is the person, and what was seen."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)

    async def work(rights: Rights) -> RightsRequest:
        return await rights.desk.check(request, proved=not not_the_person, shown=shown or (), words=why, by=by)

    state = with_room(settings, work)
    typer.echo(_notice(settings, state, why) if state.rule else f"{state.request}: {state.stage}")


@app.command()
def find(
    request: Request,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Find everything about the person: what is theirs, and what only a person can say to be."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)

    async def work(rights: Rights) -> Found:
        await _caught_up(rights, quiet=as_json)
        return await rights.desk.find(request, by=by)

    found = with_room(settings, work)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for word, hits in (("theirs", found.sure), ("maybe ", found.maybe)):
        for each in hits:
            typer.echo(f"{word}  {each.stream}  {each.kind:10} {each.tenant:16} by {', '.join(each.by)}")
    typer.echo(f"{len(found.sure)} are theirs; {len(found.maybe)} wait for `sos rights confirm`")


@app.command()
def confirm(
    request: Request,
    stream: Annotated[str, typer.Argument(help="As `sos rights find` printed it.")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    not_theirs: Annotated[bool, typer.Option("--not-theirs", help="It is about somebody else.")] = False,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say that what was found is about the person, or is not, and how that is known."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)

    async def work(rights: Rights) -> RightsRequest:
        return await rights.desk.confirm(request, SubjectId(stream), theirs=not not_theirs, words=why, by=by)

    typer.echo(f"{len(with_room(settings, work).theirs)} are theirs")


@app.command()
def extend(
    request: Request,
    reason: Annotated[str, typer.Option(help="much-data, third-parties or identity.")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """It takes longer, once; tell the person today."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    state = with_room(settings, lambda rights: rights.desk.extend(request, reason=reason, words=why, by=by))
    said = configured(settings.rights_terms).the_extension(reason)
    typer.echo(f"due {_due(state)}\n{said.ja}\n{said.en}")


@app.command()
def refuse(
    request: Request,
    rule: Annotated[str, typer.Option(help="harm, other-law, nothing-held, not-wrong, no-ground ...")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Refuse it; prints what the person is told today."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    state = with_room(settings, lambda rights: rights.desk.refuse(request, rule=rule, words=why, by=by))
    typer.echo(_notice(settings, state, why))


@app.command()
def answer(
    request: Request,
    directory: Annotated[Path, typer.Argument(help="Where to write answer.json and answer.pdf; must not exist.")],
    operator: Who,
    token_file: TokenFile,
    words_read: Annotated[bool, typer.Option("--words-read", help="You have read the free words: give them.")] = False,
    inquiries: Annotated[bool, typer.Option("--inquiries", help="Tell of inquiries too: it hinders nothing.")] = False,
    fee_paid: Annotated[bool, typer.Option("--fee-paid", help="For a further copy.")] = False,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Make the answer: what is held, what was told to whom and on what ground, who looked, what is gone."""
    if directory.exists():
        raise Misconfigured(f"{directory} exists already; name a new directory")
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    os.umask(0o077)  # what is opened for one person is not left to everybody on this machine

    async def work(rights: Rights) -> Any:
        return await rights.desk.answer(request, by=by, words_read=words_read, inquiries=inquiries, fee_paid=fee_paid)

    made = with_room(settings, work)
    directory.mkdir(parents=True)
    (directory / "answer.json").write_bytes(made.document)
    if made.page is not None:
        (directory / "answer.pdf").write_bytes(made.page)
    page = "and answer.pdf" if made.page is not None else "; no Japanese font here, so no page"
    typer.echo(f"{directory}: answer.json {page}; copy {made.state.copies}, {made.fee_yen} yen")


@app.command()
def correct(
    request: Request,
    stream: Annotated[str, typer.Argument(help="As `sos rights find` printed it.")],
    category: Annotated[Category, typer.Option(help="Where it stands.")],
    field: Annotated[str, typer.Option(help="What it is called there, such as ownerName.")],
    value_file: Annotated[Path, typer.Option(help="File with what is right; - for stdin.")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Put what is right beside what is held: both stay, and every later answer shows both."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    right = value_of(_content(value_file))
    change = Correction(stream=SubjectId(stream), category=category, field=field, value=right)
    state = with_room(settings, lambda rights: rights.changing.correct(request, change, words=why, by=by))
    typer.echo(f"{state.request}: both values stand")


@app.command()
def erase(
    request: Request,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say what goes and which duty keeps the rest; two people destroy it (`sos retention due`, `approve`, `run`)."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    asked = with_room(settings, lambda rights: rights.changing.erase(request, by=by))
    asyncio.run(made_due(settings, dict.fromkeys(stream for stream, _ in asked.erased)))
    for stream, category, rule in asked.kept:
        typer.echo(f"kept   {stream}  {category}  {rule}")
    for stream, category in asked.erased:
        typer.echo(f"to go  {stream}  {category}")
    typer.echo(f"{len(asked.erased)} are due from now; {len(asked.kept)} are kept")


@app.command()
def done(
    request: Request,
    why: Why,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say that what was asked is done, and what the person was told."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    state = with_room(settings, lambda rights: rights.desk.done(request, words=why, by=by))
    typer.echo(f"{state.request}: {state.stage}")


@app.command("list")
def listed(
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """The requests that wait, the first due first; nobody is named."""

    async def work(rights: Rights) -> list[RightsRequest]:
        return list(await (rights.desk.ledger.all() if every else rights.desk.ledger.open()))

    found = sorted(with_room(load(config_file), work), key=lambda each: (not each.open, _due(each)))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        late = f"  LATE {each.late}" if each.open and each.late else ""
        typer.echo(f"{each.request}  {each.stage:8} {each.right:17} due {_due(each)}{late}")


@app.command()
def show(
    request: Request,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Who asks and what they say; that you look is on the record first."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    shown: Shown = with_room(settings, lambda rights: rights.desk.show(request, by=by))
    typer.echo(json.dumps(msgspec.to_builtins(shown), ensure_ascii=False, indent=2))


@app.command()
def index(
    again: Annotated[bool, typer.Option("--again", help="Make it anew, from the first event on.")] = False,
    config_file: ConfigFile = None,
) -> None:
    """Bring the index from people and vehicles to what is held about them up to date."""

    async def work(rights: Rights) -> None:
        await _caught_up(rights, again=again)

    with_room(load(config_file), work)


# --- what the commands do ---


async def _caught_up(rights: Rights, *, again: bool = False, quiet: bool = False) -> None:
    with Progress(transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        told = _bar(bar, "events")
        await (rights.indexer.again(told) if again else rights.indexer.catch_up(told))


def _bar(bar: Progress, what: str) -> Told:
    task = bar.add_task(what, total=None)

    def told(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return told


def _content(file: Path) -> bytes:
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def _claim(file: Path) -> Claim:
    try:
        return msgspec.json.decode(_content(file), type=Claim)
    except (msgspec.MsgspecError, UnicodeDecodeError) as wrong:
        raise Malformed(
            f"the person cannot be read: {type(wrong).__name__}; name, tel, vehicles, words, contact"
        ) from wrong


def _notice(settings: Settings, state: RightsRequest, words: str) -> str:
    terms = configured(settings.rights_terms)
    refusal = terms.the_refusal(state.rule, state.right)
    return "\n".join(
        (
            f"{state.request}: refused, {refusal.rule} (APPI {refusal.article})",
            f"{refusal.ja} {refusal.en}",
            words,
            f"苦情の申出先 / complaints: {terms.authority.ja} {terms.authority.en}",
        )
    )


def _due(state: RightsRequest) -> str:
    return timestamp(state.due_at) if state.due_at is not None else ""
