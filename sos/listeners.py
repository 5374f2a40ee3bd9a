"""Who asks to hear a recording: somebody at a desk by the session, an auditor by the token; nobody else."""

from collections.abc import Callable

from aiohttp import web

from routing.categories import Category
from sos.calls.playback import Listener
from sos.console.access import Operator
from sos.exports.auditors import Auditors

AtDesk = Callable[[web.Request], Operator]
"""Whose desk session a request carries; ``Forbidden`` when it carries none that holds."""


def listeners(at_desk: AtDesk, auditors: Auditors) -> Callable[[web.Request], Listener]:
    """``Unauthenticated`` and ``Forbidden`` for everybody who may not hear at all."""

    def listener_of(request: web.Request) -> Listener:
        if "Authorization" not in request.headers:
            operator = at_desk(request)
            return Listener(reader=f"operator:{operator.id}", supervisor=operator.supervisor)
        auditor = auditors.of(request)
        auditor.scope.check((Category.AUD,))
        return Listener(reader=f"auditor:{auditor.id}", brands=auditor.scope.brands)

    return listener_of
