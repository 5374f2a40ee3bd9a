"""The ICE agent of one connection, kept from strangers: which sockets it opens, and from whom they take a packet.

A port of ours is no secret, so what arrives there may come from anybody.  A connectivity check proves itself by the
password of this session (RFC 8445 7.3); all else is taken only from an address that has passed one, and what proves
nothing is not even answered.

This rests on private names of aioice 0.13.0, which is therefore pinned and guarded by
``tests/sos/calls/test_aiortc_hook.py``.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from aioice import stun
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import Connection as Agent
from aioice.ice import StunProtocol, get_host_addresses, relayed_candidate, server_reflexive_candidate

from sos.calls.adapters.embedded.dtls import is_dtls, without_plain_alerts
from sos.calls.adapters.embedded.ports import ANY_PORT, MediaPorts

Address: TypeAlias = tuple[str, int]

_LARGEST_DATAGRAM_BYTES = 2048
"""Above any Ethernet frame.  asyncio would allocate 256 KiB for every datagram that it reads."""
_MOST_WAITING = 256
"""Datagrams that wait for aiortc; a handshake has a dozen."""
_MOST_ADDRESSES = 64
"""Addresses of one peer, each proved by the session's password; one that moves through networks has a few."""
_RECEIVE_BUFFER_BYTES = 256 * 1024
_MOST_INTERFACES = 8
"""Addresses of ours that an answer names; the peer tries each of them."""
_LOOPBACK = ["127.0.0.1"]
"""Where a machine without any network is reached by its own programs."""
_NOT_PROVED = {400, 401}
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AssertionError, struct.error)


def own_addresses() -> frozenset[str]:
    """The addresses of this machine; loopback alone when it has no network."""
    return frozenset(get_host_addresses(use_ipv4=True, use_ipv6=True) or _LOOPBACK)


class MediaSocket(StunProtocol):
    """One socket of a connection.  ``take`` is given every datagram of the peer that is no STUN."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.take: Callable[[bytes], None] = self.pass_on
        self._proved: set[Address] = set()

    def datagram_received(self, data: Any, addr: Any) -> None:
        """One datagram from whomever; nothing it holds may raise or be kept before it has proved itself."""
        address = (addr[0], addr[1])
        if data and data[0] < 4:  # RFC 7983 7
            self._check(data, address)
        elif address in self._proved:
            self.take(data)

    def prove(self, address: Address) -> None:
        """``address`` has passed a connectivity check, whichever side began it."""
        if len(self._proved) < _MOST_ADDRESSES:
            self._proved.add(address)

    def pass_on(self, data: bytes) -> None:
        """To aiortc, when it is something for it."""
        if is_dtls(data):
            data = without_plain_alerts(data)
        elif not (data and 127 < data[0] < 192):
            return
        if data and self.receiver._queue.qsize() < _MOST_WAITING:
            self.receiver.data_received(data, self.local_candidate.component)

    def _check(self, data: bytes, address: Address) -> None:
        try:
            message = stun.parse_message(data)
            if message.message_class == stun.Class.REQUEST:
                self.receiver.request_received(message, address, self)
            elif message.transaction_id in self.transactions and message.message_class != stun.Class.INDICATION:
                self.transactions[message.transaction_id].response_received(message, address)
        except _UNREADABLE:  # not worth a line of the log, which a stranger could fill
            return


class Ice:
    """The agent of one connection; made before it gathers."""

    def __init__(self, agent: Any, *, ports: MediaPorts = ANY_PORT, within_s: float) -> None:
        """``agent`` is aioice's connection, ``ports`` those of our sockets, ``within_s`` how long STUN and TURN servers
        may take to answer."""
        self.agent = agent
        self._ports = ports
        self._within_s = within_s
        agent.get_component_candidates = self._candidates
        self._incoming, self._complete, self._error = agent.check_incoming, agent.check_complete, agent.respond_error
        agent.check_incoming = self._check_incoming
        agent.check_complete = self._check_complete
        agent.respond_error = self._respond_error

    @property
    def sockets(self) -> tuple[MediaSocket, ...]:
        return tuple(self.agent._protocols)

    async def add(self, candidates: tuple[str, ...]) -> None:
        """Check these addresses of the peer too."""
        for each in candidates:
            await self.agent.add_remote_candidate(Candidate.from_sdp(each))

    async def _candidates(self, component: int, addresses: list[str]) -> list[Candidate]:
        """Ours, of every kind; ``OSError`` when not one socket can be opened."""
        opened = [await self._open(address, component) for address in (addresses or _LOOPBACK)[:_MOST_INTERFACES]]
        hosts = [each for each in opened if each is not None]
        if not hosts:
            raise OSError("no port for media is free")
        self.agent._protocols += hosts
        candidates = [each.local_candidate for each in hosts]
        works = self._outside(hosts, component)
        if works:
            done, late = await asyncio.wait([asyncio.create_task(each) for each in works], timeout=self._within_s)
            for task in late:
                task.cancel()
            for candidate, relay in (task.result() for task in done if task.exception() is None):
                candidates.append(candidate)
                self.agent._protocols += [relay] if relay is not None else []
        return candidates

    async def _open(self, address: str, component: int) -> MediaSocket | None:
        """A socket of one of our addresses; None when it cannot be had."""
        try:
            bound = self._ports.bound(address)
        except OSError:
            return None
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        loop = asyncio.get_running_loop()
        transport, opened = await loop.create_datagram_endpoint(lambda: MediaSocket(self.agent), sock=bound)
        transport.max_size = _LARGEST_DATAGRAM_BYTES  # type: ignore[attr-defined]
        host, port = transport.get_extra_info("sockname")[:2]
        opened.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=host,
            port=port,
            type="host",
        )
        return opened

    def _outside(self, hosts: list[MediaSocket], component: int) -> list[Coroutine[Any, Any, Any]]:
        """Asking the STUN server how we are seen, and the TURN server for a relay."""
        agent = self.agent
        works: list[Coroutine[Any, Any, Any]] = []
        if agent.stun_server:
            seen = (each for each in hosts if ":" not in each.local_candidate.host)
            works += [server_reflexive_candidate(each, agent.stun_server) for each in seen]
        if agent.turn_server:
            relayed = relayed_candidate(
                component=component,
                hide_related_address=False,
                protocol_factory=lambda: MediaSocket(agent),
                turn_server=agent.turn_server,
                turn_username=agent.turn_username,
                turn_password=agent.turn_password,
                turn_ssl=agent.turn_ssl,
                turn_transport=agent.turn_transport,
            )
            works.append(relayed)
        return works

    def _check_incoming(self, message: stun.Message, address: Address, socket_: MediaSocket) -> None:
        """A check that has shown the session's password."""
        socket_.prove(address)
        self._incoming(message, address, socket_)

    def _check_complete(self, pair: Any) -> None:
        """A check of ours has ended."""
        if pair.state == pair.State.SUCCEEDED:
            pair.protocol.prove(pair.remote_addr)
        self._complete(pair)

    def _respond_error(self, request: stun.Message, address: Address, socket_: MediaSocket, code: Any) -> None:
        """Who proves nothing is told nothing; it might be a stranger, or somebody whose address a stranger wrote."""
        if code[0] not in _NOT_PROVED:
            self._error(request, address, socket_, code)
