"""What every answer carries, page or error: no page of another's frames ours, guesses a type or learns an address.

A door that says more of itself (a policy for its scripts) keeps its own; what is missing is filled in here.
"""

from collections.abc import Mapping

from aiohttp import web

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_FRAMES = "frame-ancestors 'none'"

ALWAYS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Server": "sos",
}
"""``Server`` names no version; aiohttp would name its own and Python's."""

STRICT_TRANSPORT = "max-age=63072000"
"""Two years (hstspreload.org); sent over TLS only, RFC 6797 7.2."""


def furnish(app: web.Application, *, secure: bool, subdomains: bool = False) -> None:
    """Let every answer of ``app`` carry them.  ``secure``: it is reached over TLS; ``subdomains``: so are they all."""
    strict = f"{STRICT_TRANSPORT}; includeSubDomains" if subdomains else STRICT_TRANSPORT

    async def carry(request: web.Request, response: web.StreamResponse) -> None:
        if "Server" in response.headers:
            del response.headers["Server"]
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
        policy = response.headers["Content-Security-Policy"]
        if "frame-ancestors" not in policy:
            response.headers["Content-Security-Policy"] = f"{policy}; {_FRAMES}"
        if secure or request.secure:
            response.headers.setdefault("Strict-Transport-Security", strict)

    app.on_response_prepare.append(carry)
