"""Receive a brand's webhooks, signed (RFC 9421, Ed25519).  The same check holds for an agency's pushes.

SOS_URL=https://sos.example.com MY_URL=https://cloud.example.com/status PORT=8000 python3 receive.py

Python with the package ``cryptography``.  ``MY_URL`` is the address that the service was given: it is signed, so a
message that was meant for another address is refused.
"""

import base64
import hashlib
import json
import os
import re
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SOS_URL, MY_URL, PORT = os.environ["SOS_URL"], os.environ["MY_URL"], int(os.environ["PORT"])
COVERED = ("@method", "@target-uri", "content-digest", "content-type", "idempotency-key")
SKEW_S = 300
INPUT = re.compile(r'sos=(\(([^)]*)\);created=(\d+);keyid="([^"]+)";alg="ed25519")')


def key_of(keyid: str) -> Ed25519PublicKey:
    """From the service's directory: keep it for some minutes in earnest, and ask again when a signature fails."""
    with urllib.request.urlopen(f"{SOS_URL}/.well-known/http-message-signatures-directory", timeout=5) as answer:
        (found,) = (each for each in json.load(answer)["keys"] if each["kid"] == keyid)
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(found["x"] + "=="))


def is_genuine(method: str, headers, body: bytes) -> bool:
    stated = INPUT.fullmatch(headers.get("Signature-Input", ""))
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
    if stated is None or stated[2] != " ".join(f'"{name}"' for name in COVERED):
        return False
    if headers.get("Content-Digest") != digest or abs(time.time() - int(stated[3])) > SKEW_S:
        return False
    values = {"@method": method, "@target-uri": MY_URL}
    lines = [f'"{name}": {values.get(name) or headers.get(name, "").strip()}' for name in COVERED]
    base = "\n".join([*lines, f'"@signature-params": {stated[1]}']).encode()
    signature = base64.b64decode(headers.get("Signature", "").removeprefix("sos=:").removesuffix(":"))
    try:
        key_of(stated[4]).verify(signature, base)
    except (InvalidSignature, ValueError):
        return False
    return True


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        genuine = is_genuine("POST", self.headers, body)
        if genuine:
            told = json.loads(body)
            print(told["id"], told["data"]["status"], flush=True)  # keep it by its id: it may come again
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
