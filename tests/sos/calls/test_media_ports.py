"""Voice uses the ports that the firewall was told of, and no others."""

import re
from collections.abc import Callable

import pytest

from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.adapters.embedded.ports import MediaPorts
from sos.errors import Misconfigured, Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from sos.settings import Settings
from tests.ports import neighbours
from tests.sos.calls.peers import KEY, Peer


async def test_an_answer_names_ports_of_the_range_and_a_call_too_many_is_unavailable(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    ports = neighbours()

    async def answered(seed: int) -> str:
        return await provider.accept(
            incident=IncidentId(new_id()),
            leg=LegId(new_id()),
            party=Party.VEHICLE,
            who="vehicle",
            offer=await new_peer(seed).offer(),
            key=KEY,
            ports=ports,
        )

    named = [re.findall(r"candidate:.* (\S+) (\d+) typ host", await answered(seed)) for seed in range(2)]
    with pytest.raises(Unavailable, match="candidates"):
        await answered(2)

    assert {int(port) for each in named for _, port in each} == set(ports)
    assert not set(named[0]) & set(named[1])  # on another address of the machine the same port is another one


def test_a_taken_port_is_passed_over() -> None:
    first, last = neighbours()
    with MediaPorts(first, last).bound("127.0.0.1") as one, MediaPorts(first, last).bound("127.0.0.1") as other:
        assert {one.getsockname()[1], other.getsockname()[1]} == {first, last}
        with pytest.raises(OSError, match="in use"):
            MediaPorts(first, last).bound("127.0.0.1")


@pytest.mark.parametrize(
    ("text", "ports"), [("50000-50999", (50_000, 50_999)), ("", (0, 0)), ("4000-4000", (4000, 4000))]
)
def test_the_setting_is_a_range(text: str, ports: tuple[int, int]) -> None:
    assert Settings(media_ports=text).media_port_range == ports


@pytest.mark.parametrize(
    "text", ["50000", "51000-50000", "80-90", "60000-70000", "a-b", "50000-50999-1", "５００００-50999"]
)
def test_a_wrong_range_stops_the_start_by_its_name(text: str) -> None:
    with pytest.raises(Misconfigured, match="media_ports"):
        Settings(media_ports=text)
