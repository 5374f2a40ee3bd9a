"""Values of every vehicle format, for properties."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from routing.position.pidf import Located, PidfLo
from routing.position.shapes import Circle, Point
from sos.formats import control, ncap, veds
from sos.formats.msd import EDITIONS, AdditionalData, Delta, Msd

octets = st.integers(0, 255)
mas = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 2**31 - 1, 324_000_000, -648_000_000])
deltas = st.builds(Delta, st.integers(-512, 511), st.integers(-512, 511))
vins = st.text("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", min_size=17, max_size=17)
additions = st.builds(
    AdditionalData,
    st.sampled_from([b"\x08\x01", b"\x01\x04\x02", b"\x01\x02\x7d", b"", b"\x81"]) | st.binary(max_size=4),
    st.binary(max_size=200),
)


@st.composite
def msds(draw: st.DrawFn) -> Msd:
    """Any MSD that its edition can hold."""
    edition = EDITIONS[draw(st.sampled_from([1, 2, 3]))]
    recent = st.none() | deltas if edition.recent_optional else deltas
    chosen = draw(st.sets(st.sampled_from(edition.energies)))
    return Msd(
        version=edition.version,
        message_identifier=draw(octets),
        automatic_activation=draw(st.booleans()),
        test_call=draw(st.booleans()),
        position_can_be_trusted=draw(st.booleans()),
        vehicle_type=draw(st.sampled_from(edition.types)),
        vin=draw(vins),
        propulsion=tuple(energy for energy in edition.energies if energy in chosen),
        timestamp=draw(st.integers(0, 2**32 - 1)),
        latitude_mas=draw(mas),
        longitude_mas=draw(mas),
        direction=draw(octets),
        recent_n1=draw(recent),
        recent_n2=draw(recent),
        occupants=draw(st.none() | octets),
        additional=draw(st.none() | additions),
    )


speeds = st.integers(-255, 255)
impacts = st.builds(
    ncap.EuroNcap,
    location_of_impact=st.sampled_from(ncap.Impact),
    rollover_detected=st.none() | st.booleans(),
    range_limit=st.integers(100, 255),
    delta_v_x=speeds,
    delta_v_y=speeds,
)

maybe_flag = st.none() | st.booleans()
words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=40)
maybe_word = st.none() | words
times = st.integers(0, 10**11).map(lambda ms: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
maybe_time = st.none() | times
latitudes = st.integers(-900_000, 900_000).map(lambda n: n / 10_000)
longitudes = st.integers(-1_800_000, 1_800_000).map(lambda n: n / 10_000)

places = st.builds(
    PidfLo,
    entity=st.just("pres:car@example.com"),
    locations=st.tuples(
        st.builds(
            Located,
            id=st.just("car"),
            shape=st.builds(Point, latitudes, longitudes)
            | st.builds(Circle, latitudes, longitudes, st.integers(1, 5000).map(float)),
            method=st.just("GPS"),
            timestamp=maybe_time,
        )
    ),
)
vehicles = st.builds(
    veds.CrashVehicle,
    vin=st.none() | vins,
    plate=maybe_word,
    make=maybe_word,
    model=maybe_word,
    model_year=st.none() | st.integers(1990, 2030).map(str),
    colour=maybe_word,
    energies=st.lists(st.sampled_from(["GASOLINE", "ELECTRIC", "HYDROGEN"]), max_size=3).map(tuple),
    airbags=st.lists(st.builds(veds.Airbag, category=maybe_word, deployed=maybe_flag), max_size=4).map(tuple),
    seats=st.lists(
        st.builds(veds.Seat, location=maybe_word, occupied=maybe_flag, belted=maybe_flag, monitored=maybe_flag),
        max_size=4,
    ).map(tuple),
    pulses=st.lists(
        st.builds(
            veds.Pulse,
            delta_v=st.none() | st.integers(-5000, 5000).map(lambda n: n / 10),
            unit=st.none() | st.sampled_from(["MPH", "KPH", "furlongs"]),
            direction_clock=st.none() | st.integers(1, 12),
            quarter_turns=st.none() | st.integers(0, 8),
        ),
        max_size=3,
    ).map(tuple),
    rollover=maybe_flag,
)
crash_notifications = st.builds(
    veds.Veds,
    crash_id=maybe_word,
    happened_at=maybe_time,
    sent_at=maybe_time,
    device=maybe_word,
    call_back=maybe_word,
    passengers=st.none() | st.integers(0, 60),
    heading=st.none() | st.integers(0, 3600).map(lambda n: n / 10),
    vehicle=vehicles,
    fuel_leaking=maybe_flag,
    multiple_impacts=maybe_flag,
    severe_injury=maybe_flag,
    fire=maybe_flag,
    final_rest=maybe_word,
    latitude=st.none() | latitudes,
    longitude=st.none() | longitudes,
    pidf=st.none() | places,
)

requests = st.builds(
    control.Request,
    action=words,
    datatype=maybe_word,
    supported_values=st.lists(words.filter(lambda word: ";" not in word), max_size=3).map(tuple),
    int_id=st.none() | st.integers(0, 999),
    persistence=maybe_word,
    requested_state=maybe_word,
    element_id=maybe_word,
    text=maybe_word,
)
results = st.builds(control.ActionResult, action=words, success=st.booleans(), reason=maybe_word, details=maybe_word)
controls = st.builds(
    control.Control,
    acks=st.lists(
        st.builds(
            control.Ack,
            ref=words.filter(lambda word: word[0] != "<" and word[-1] != ">"),
            received=maybe_flag,
            results=st.lists(results, max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    requests=st.lists(requests, max_size=4).map(tuple),
    capabilities=st.none() | st.lists(requests, max_size=3).map(tuple),
)
