"""Where agencies and clouds of tenants find the key that signs what is sent to them.

``/.well-known/http-message-signatures-directory``: a JWK set (RFC 7517, RFC 8037) whose ``kid`` is the ``keyid`` of the
signatures, after draft-meunier-http-message-signatures-directory.  Public: it holds a public key and nothing else.
"""

import base64

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PATH = "/.well-known/http-message-signatures-directory"
MEDIA_TYPE = "application/http-message-signatures-directory+json"

CACHED_S = 300
"""How long it may be kept: a key that was lost and made anew is known soon."""


class KeyDirectory:
    def __init__(self, key: Ed25519PublicKey, *, keyid: str) -> None:
        self._body = msgspec.json.encode({"keys": [jwk(key, keyid=keyid)]})

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._keys)]

    async def _keys(self, _: web.Request) -> web.Response:
        headers = {"Cache-Control": f"max-age={CACHED_S}"}
        return web.Response(body=self._body, content_type=MEDIA_TYPE, headers=headers)


def jwk(key: Ed25519PublicKey, *, keyid: str) -> dict[str, str]:
    """``key`` as a JSON Web Key (RFC 8037 2)."""
    octets = base64.urlsafe_b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return {"kty": "OKP", "crv": "Ed25519", "kid": keyid, "use": "sig", "x": octets.decode().rstrip("=")}
