"""The field log for whoever can mend it: supervisors see every brand's, a brand's registrars their own, also as CSV.

Nothing in it is personal data, and nothing of it is a sender's free text (``sos.intake.field_log``).
"""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape

import msgspec
from aiohttp import web

from sos.clock import timestamp
from sos.incident.model import TenantId
from sos.intake.findings import FINDINGS
from sos.journal.field_log import TOGETHER, FieldLogTable, Oddity

COLUMNS = ("tenant", "format", "model", "firmware", "code", "field", "year", "reports", "first", "last", "says")

Asks = Callable[[web.Request], None]
"""Lets a supervisor in; raises for anybody else."""

BrandOf = Callable[[web.Request], TenantId]
"""Whose registrar asks; raises for anybody else."""

_NO_STORE = {"Cache-Control": "no-store"}
_HEADINGS = (
    "送信元 / brand",
    "形式 / format",
    "機種 / model",
    "版 / firmware",
    "件数 / reports",
    "項目 / field",
    "内容 / what",
)


class FieldLogEndpoint:
    def __init__(self, table: FieldLogTable, *, supervisor: Asks, brand_of: BrandOf) -> None:
        self._table = table
        self._supervisor = supervisor
        self._brand_of = brand_of

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/console/field-log", self._page),
            web.get("/console/field-log.csv", self._everybodys),
            web.get("/v1/registry/field-log", self._list),
            web.get("/v1/registry/field-log.csv", self._own),
            web.get("/v1/registry/field-log.html", self._own_page),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        self._supervisor(request)
        return _html(await self._table.of(None), beside="field-log.csv")

    async def _everybodys(self, request: web.Request) -> web.Response:
        self._supervisor(request)
        return _csv(await self._table.of(None))

    async def _list(self, request: web.Request) -> web.Response:
        found = await self._table.of(self._brand_of(request))
        told = [dict(zip(COLUMNS, _row(each), strict=True)) for each in found]
        return web.Response(
            body=msgspec.json.encode({"reports": told}), content_type="application/json", headers=_NO_STORE
        )

    async def _own(self, request: web.Request) -> web.Response:
        return _csv(await self._table.of(self._brand_of(request)))

    async def _own_page(self, request: web.Request) -> web.Response:
        return _html(await self._table.of(self._brand_of(request)), beside="field-log.csv")


def says(oddity: Oddity) -> str:
    """One line for whoever can mend it: which device, what, and the way out."""
    named = "several devices" if oddity.model == TOGETHER else oddity.model or "devices that do not name themselves"
    firmware = f" firmware {oddity.firmware}" if oddity.firmware and oddity.firmware != TOGETHER else ""
    facts = FINDINGS.get(oddity.code)
    what = facts.title if facts is not None else oddity.code
    year = f" of {oddity.year}" if oddity.year else ""
    return f"{named}{firmware}: {what}{year} in {oddity.reports} reports. {facts.detail if facts else ''}".rstrip()


def _row(oddity: Oddity) -> tuple[str | int, ...]:
    first, last = (timestamp(datetime.fromtimestamp(each / 1000, UTC)) for each in (oddity.first_ms, oddity.last_ms))
    key = (oddity.tenant, oddity.format, oddity.model, oddity.firmware, oddity.code, oddity.field, oddity.year)
    return (*key, oddity.reports, first, last, says(oddity))


def _csv(found: Sequence[Oddity]) -> web.Response:
    """With a byte order mark, which spreadsheets take for UTF-8; no cell begins like a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(map(_row, found))
    return web.Response(
        body=text.getvalue().encode("utf-8-sig"),
        content_type="text/csv",
        charset="utf-8",
        headers=_NO_STORE | {"Content-Disposition": 'attachment; filename="field-log.csv"'},
    )


def _html(found: Sequence[Oddity], *, beside: str) -> web.Response:
    heads = "".join(f"<th scope=col>{escape(each)}</th>" for each in _HEADINGS)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in _cells(each))}</tr>" for each in found)
    body = (
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if found else "<p>ありません / none</p>"
    )
    page = (
        "<!doctype html><html lang=ja><meta charset=utf-8><title>フィールドログ / Field log</title><style>"
        "body{font:1rem/1.5 sans-serif;margin:1.5rem}table{border-collapse:collapse}th,td{border:1px solid #999;"
        "padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
        "td:nth-child(5){text-align:right}"
        f"</style><h1>フィールドログ / Field log</h1><p><a href={beside}>CSV</a></p>{body}</html>"
    )
    security = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return web.Response(text=page, content_type="text/html", headers=_NO_STORE | security)


def _cells(oddity: Oddity) -> tuple[object, ...]:
    return (
        oddity.tenant,
        oddity.format,
        oddity.model,
        oddity.firmware,
        oddity.reports,
        oddity.field,
        says(oddity),
    )
