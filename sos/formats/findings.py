"""What each finding of the vehicle formats means to the sender, for whoever answers one: a title and the way out.

Codes that CloudEvents intake has as well (``bad_value``, ``out_of_range``, ``bad_time``, ``missing_field``,
``unknown_unit``) mean the same here and are explained there.
"""

from collections.abc import Mapping
from types import MappingProxyType

SHARED = frozenset({"bad_value", "out_of_range", "bad_time", "missing_field", "unknown_unit"})

EXPLAINED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "trailing_octets": ("Octets behind the end", "They were ignored; send none."),
        "padding_not_zero": ("Padding not zero", "It was ignored; fill the last octet with zero bits (X.691 11.1)."),
        "unknown_extension": ("Unknown extension", "It was stepped over; the rest was read."),
        "vehicle_type_unknown": ("Unknown vehicle type", "It was taken as unknown."),
        "version_mislabelled": ("Wrong version octet", "The body is of another version and was read as that."),
        "cut_off": ("Cut off", "The base data is whole and was taken; send the message again, whole."),
        "location_unknown": ("No position", "The vehicle had no fix."),
        "location_impossible": (
            "Impossible position",
            "It was taken as unknown; send WGS-84 or the value of unknown.",
        ),
        "location_swapped": (
            "Latitude and longitude exchanged?",
            "No car drives there, and one would with the two exchanged. Nothing was corrected; check the sender.",
        ),
        "direction_impossible": ("Impossible direction", "It was taken as unknown; send 0 to 179 or 255."),
        "occupants_unknown": ("Occupants unknown", "255 was sent."),
        "clock_unset": ("Clock not set", "The time of the incident was taken as unknown."),
        "clock_ahead": ("Clock ahead", "The time of the incident lies in the future; it was kept as sent."),
        "vin_unset": ("No VIN", "One character seventeen times was taken as none."),
        "vin_illegal": ("Not a VIN", "It was kept as sent; a VIN has 17 of 33 characters (ISO 3779)."),
        "oid_malformed": ("Malformed object identifier", "The additional data was kept as received and not read."),
        "additional_data_unknown": ("Unknown additional data", "It was kept as received and not read."),
        "additional_data_undecodable": ("Additional data cannot be read", "It was kept as received; check its layout."),
        "delta_v_impossible": ("Impossible delta-V", "It was taken as unknown; send -255 to 255 (TB 040)."),
        "loose_time": ("Loosely written time", "It was understood; send RFC 3339 with two digits and an offset."),
        "too_long": ("Text too long", "Its beginning was kept."),
        "too_many": ("Too many of one thing", "The first were kept."),
        "pidf_malformed": ("Malformed PIDF-LO", "Its words were kept, its position not read; send one after RFC 5491."),
        "location_loose": (
            "Loosely written PIDF-LO",
            "Its position was understood; write it after RFC 5491.",
        ),
        "no_crash_data": ("No crash data", "Only a location was sent; send the crash data beside it."),
        "tel_not_dialable": ("Not a telephone number", "It was kept as sent and is not dialled; send E.164 (+81...)."),
        "tel_withheld": ("Withheld number", "It stands for a caller without a number and was taken as none."),
        "vehicle_placeholder": (
            "Placeholder for a vehicle",
            "Many vehicles have this name: it was kept as sent, and nothing is joined by it.",
        ),
        "event_time_impossible": ("Impossible time", "The time of the incident was taken as unknown; check the clock."),
        "fix_time_impossible": (
            "Impossible time of the position",
            "Its age was taken as unknown and the position as it stands; check the clock and the GPS week.",
        ),
    }
)
