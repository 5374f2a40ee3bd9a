"""Report a crash and follow it until it is closed.  Python alone, no package.

SOS_URL=https://sos.example.com SOS_KEY=... python3 crash_to_closed.py
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime

URL, KEY = os.environ["SOS_URL"], os.environ["SOS_KEY"]
TRIES, PAUSE_S = 5, 1.0


def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> dict:
    """The answer; what failed for a moment is asked again, which is safe: the event's ``id`` names the report."""
    told = {"Authorization": f"Bearer {KEY}", **headers}
    for left in reversed(range(TRIES)):
        request = urllib.request.Request(URL + path, body, told, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            if refused.code not in (404, 408, 429, 503) or not left:  # 404: a spooled report is not in the database yet
                raise SystemExit(f"{refused.code}: {refused.read().decode()}") from None
        except OSError:
            if not left:
                raise
        time.sleep(PAUSE_S)
    raise AssertionError


now = datetime.now(UTC).isoformat(timespec="milliseconds")
event = {
    "specversion": "1.0",
    "id": str(uuid.uuid4()),
    "source": "/oem/acme/tcu/4f2a",
    "type": "jp.example.sos.crash.v1",
    "time": now,
    "datacontenttype": "application/json",
    "data": {
        "trigger": "automatic",
        "eventTime": now,
        "vehicle": {"id": {"scheme": "vin", "value": "JTMZZ3TESTEC00001"}, "model": "X", "exteriorColor": "white"},
        "location": {"latitude": 35.681236, "longitude": 139.767125, "horizontalAccuracy": 8.0, "timestamp": now},
        "crash": {"impact": "front", "deltaV": {"x": -45.0, "y": 10.0, "unit": "km/h"}},
        "occupants": {"count": 2},
        "callback": {"tel": "+81355500100", "language": "ja"},
    },
}
body = json.dumps(event).encode()
taken = ask("POST", "/v1/events", body, **{"Content-Type": "application/cloudevents+json"})
print("reported", taken["incident"], taken["durability"], flush=True)

seen = -1
while True:
    told = ask("GET", f"/v1/incidents/{taken['incident']}")
    if told["version"] > seen:
        seen = told["version"]
        print(told["status"], flush=True)
    if told["status"] == "closed":
        break
    time.sleep(PAUSE_S)
