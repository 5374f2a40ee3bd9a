"""What each finding code of intake means to the sender: the rule it breaks and the way out.

A finding is a code with a place, ``wrong_type:$.data.crash.impact``; the report was taken all the same.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from sos.formats.findings import EXPLAINED
from sos.intake.cloudevents import MEDIA_TYPE
from sos.problems import Problem, type_uri


class Facts(msgspec.Struct, frozen=True):
    title: str
    detail: str


MAX_BODY_BYTES = 256 * 1024
"""A full event with every seat and an MSD is below 4 KiB; 256 KiB is also what AWS EventBridge and SQS take."""

BODY_TIMEOUT_S = 10.0
"""From the headers to the last byte of the body: a car on a failing radio link, not a hanging socket."""

_OWN: Mapping[str, Facts] = MappingProxyType(
    {
        "unknown_field": Facts("Unknown field", "It was ignored; see the event schema for the names we read."),
        "missing_field": Facts("Missing field", "It is required; send it."),
        "wrong_type": Facts("Wrong type", "It was taken as unknown; send the JSON type of the event schema."),
        "bad_value": Facts(
            "Value not in the list", "It was taken as unknown; send a value of the event schema or null."
        ),
        "out_of_range": Facts("Out of range", "It was taken as unknown; send a value in range or null."),
        "quoted": Facts("Value sent as text", "It was understood; send it without quotes."),
        "naive_time": Facts("Time without offset", "It was taken as unknown; send RFC 3339 with `Z` or an offset."),
        "bad_time": Facts("Not a time", "It was taken as unknown; send RFC 3339 with `Z` or an offset."),
        "position_impossible": Facts("Impossible position", "It was taken as unknown; send WGS-84 degrees or null."),
        "unknown_unit": Facts("Unknown unit", "Delta-V was taken as unknown; send `km/h`."),
        "unknown_type": Facts(
            "Unknown event type", "It was taken as an emergency; send `...sos.crash.v1` or `...sos.manual.v1`."
        ),
        "update": Facts(
            "Update not joined", "No open incident is known to be about it; it was opened as one of its own."
        ),
        "cancel": Facts(
            "Cancel not joined", "No open incident is known to be about it; it was opened as one of its own."
        ),
        "id_reused": Facts(
            "Name used twice", "`source` and `id` named another crash before; each crash needs a name of its own."
        ),
        "incident_closed": Facts("Incident closed", "The incident of this name is closed; it was opened anew."),
        "over_rate": Facts("Over your rate", "It was taken; slow down or agree on a higher rate."),
        "vehicle_mismatch": Facts("Another vehicle", "The report names another vehicle than its sender or topic does."),
        "vin_check_digit": Facts("VIN with a wrong check digit", "It was kept as sent; position 9 does not fit."),
        "retained": Facts(
            "Retained by the broker", "It was taken because it is of the last hours; publish without `retain`."
        ),
        "no_data": Facts("Call without data", "Send the report of the vehicle; it will join this incident."),
        "as_text": Facts(
            "Sent as text", "It was understood; send raw octets, or JSON itself, not hexadecimal, Base64 or quoted."
        ),
        "undecodable": Facts("Cannot be decoded", "The bytes were kept as received; an operator was told."),
        "salvaged": Facts("Damaged", "The base data was read; the rest was kept as received."),
        "no_envelope": Facts("No CloudEvents envelope", "Put the report into `data` of a CloudEvents 1.0 event."),
        "invalid_utf8": Facts("Invalid UTF-8", "The bytes were kept as received; JSON must be UTF-8 (RFC 8259 8.1)."),
        "not_json": Facts("Damaged JSON", "The bytes were kept as received; an operator was told."),
        "not_an_object": Facts("Not one event", "The bytes were kept as received; send one event per request."),
        "oversize": Facts("Oversize", f"Only the first {MAX_BODY_BYTES} bytes were kept."),
        "cut_off": Facts("Cut off", "The body ended early; what came was kept. Send it again, whole."),
        "too_slow": Facts("Too slow", f"What came within {BODY_TIMEOUT_S:.0f} s was kept. Send it again, whole."),
        "too_large": Facts("Too large", "It was left out, and the bytes were kept as received; send the event schema."),
        "not_utf8": Facts("Not UTF-8", "It was understood; send UTF-8."),
        "padded": Facts("Padding behind the end", "It was ignored; send none."),
        "unclean_text": Facts(
            "Characters without meaning", "Control characters and half surrogates were taken out; send plain text."
        ),
        "content_type": Facts("Unexpected Content-Type", f"Send `{MEDIA_TYPE}`."),
    }
)
"""Finding codes of intake itself, in the words of the answer."""

FINDINGS: Mapping[str, Facts] = MappingProxyType({code: Facts(*told) for code, told in EXPLAINED.items()} | dict(_OWN))
"""Every finding code of intake and of the vehicle formats; where both have one, intake's words."""

_UNNAMED = Facts("Odd", "It was taken all the same; the code names what was found.")


def problems(findings: tuple[str, ...]) -> list[Problem]:
    """What was odd about a report that was taken, as the sender is told of it; status 202, because it was taken."""
    told: list[Problem] = []
    for finding in findings:
        code, _, path = finding.partition(":")
        facts = FINDINGS.get(code, _UNNAMED)
        told.append(
            Problem(
                type=type_uri(code.replace("_", "-")), title=facts.title, status=202, detail=facts.detail, field=path
            )
        )
    return told
