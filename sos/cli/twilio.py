"""``sos twilio``: is the account that telephones for us set up as it must be?"""

import asyncio

import msgspec
import typer

from sos.calls.adapters.twilio.account import Verdict
from sos.calls.adapters.twilio.configured import account_findings
from sos.cli.options import AsJson, ConfigFile, Exit
from sos.settings import load

app = typer.Typer(no_args_is_help=True, help="The account at Twilio that telephones for us.")


@app.callback()
def group() -> None:
    """The account at Twilio that telephones for us."""


@app.command()
def check(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Read the account, change nothing, and say what is wrong with it; exit code 1 when anything is."""
    findings = asyncio.run(account_findings(load(config_file)))
    if as_json:
        typer.echo(msgspec.json.encode(findings).decode())
    else:
        for each in findings:
            typer.echo(f"{each.verdict:6} {each.about}: {each.says}")
    raise typer.Exit(Exit.REFUSED if any(each.verdict is Verdict.WRONG for each in findings) else 0)
