"""Generate reflections over UDP of 25 more services: unsolicited responses to the victim from many real servers.

A table gives each service's port, its response, and whether the response is retransmitted when it is not acknowledged.
`reflection` sends them: a server keeps its address, its distance and its response for the whole attack.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import answers
from answers import Asked
from attack import Attack, Extent, Origin, bots, moments, soon, volumetric
from dialogue import MICROSECOND, SECOND, Host
from wire import DONT_FRAGMENT, Head, Packet, icmp, udp, udp_fragments

LARGEST_BODY = 1472  # what one Ethernet frame carries over UDP


class Service(NamedTuple):
    """Describe a service that reflects: port 0 is a new one for each response; a fresh one never sends the same response twice."""

    vector: str
    port: int
    answer: Callable[[random.Random, Asked], list[bytes]]
    again_s: tuple[float, ...] = ()
    fresh: bool = False


class Server(NamedTuple):
    """Hold one reflector: its origin, whether its system forbids fragmentation, and the seed of its response."""

    origin: Origin
    mark: int
    nature: int


def _servers(rng: random.Random) -> list[Server]:
    """Return the reflectors; systems with a TTL of 64 mostly set DF on what fits."""
    places = bots(rng, rng.randint(30, 250))
    return [Server(each, DONT_FRAGMENT if each.ttl < 64 and rng.random() < 0.8 else 0, rng.getrandbits(32)) for each in places]


def _frames(rng: random.Random, server: Server, victim: int, ports: tuple[int, int], payload: bytes) -> list[bytes]:
    """Return the frames of one datagram."""
    head = Head(server.origin.address, victim, server.origin.ttl, rng.getrandbits(16), server.mark)
    return [udp(head, *ports, payload)] if len(payload) <= LARGEST_BODY else udp_fragments(head, ports, payload)


def _refusal(rng: random.Random, victim: Host, packet: Packet) -> Packet:
    """Return the victim's error about a datagram to a closed port, which cites at most 56 bytes."""
    frame = packet.frame
    back = Head(victim.address, int.from_bytes(frame[26:30], "big"), 64, rng.getrandbits(16), 0, 0xC0)
    cited = frame[14 : 14 + min(56, int.from_bytes(frame[16:18], "big"))]
    return Packet(packet.time_ns + soon(rng, victim), icmp(back, 3, 3, b"\0\0\0\0" + cited))


def reflection(rng: random.Random, at_ns: int, extent: Extent, victim: Host, kind: Service) -> Attack:
    """Send responses from many servers, with the service's retransmissions, until the extent's packets are used up."""
    servers, rounds = _servers(rng), (0.0, *kind.again_s)
    target, refused = rng.choice((0, 80, 443, rng.randrange(1024, 65536), 30120)), rng.choice((0.0, 0.0, 0.05))
    token, varied = rng.randbytes(16), rng.random() < 0.4
    told: list[tuple[Server, tuple[int, int], list[bytes]]] = []
    spent = 0
    while spent < extent.amount:
        server, dport = rng.choice(servers), target or rng.randrange(1024, 65536)
        asked = Asked(rng.randbytes(16) if varied else token, server.origin.address, victim.address, dport)
        payloads = kind.answer(rng if kind.fresh else random.Random(server.nature), asked)
        told.append((server, (kind.port or rng.randrange(32768, 65536), dport), payloads))
        spent += len(rounds) * sum(1 + len(payload) // LARGEST_BODY for payload in payloads)
    packets: list[Packet] = []
    for begun, (server, ports, payloads) in zip(moments(rng, at_ns, extent._replace(amount=len(told))), told, strict=True):
        for after_s in rounds:
            when = begun + int(after_s * rng.uniform(1.0, 1.02) * SECOND)
            for payload in payloads:
                frames = _frames(rng, server, victim.address, ports, payload)
                for frame in frames:
                    packets.append(Packet(when, frame))
                    when += rng.randrange(12, 130) * MICROSECOND
                if rng.random() < refused:
                    packets.append(_refusal(rng, victim, Packet(when, frames[0])))
    return volumetric(packets, kind.vector, victim)


SERVICES = (
    Service("qotd-amplification", 17, answers.quote, fresh=True),
    Service("rip-amplification", 520, answers.rip_routes),
    Service("portmap-amplification", 111, answers.port_map),
    Service("mdns-amplification", 5353, answers.mdns_services),
    Service("netbios-amplification", 137, answers.node_status),
    Service("wsd-amplification", 3702, answers.probe_match),
    Service("coap-amplification", 5683, answers.core_links),
    Service("arms-amplification", 3283, answers.remote_desktop_state),
    Service("jenkins-amplification", 33848, answers.build_server),
    Service("plex-amplification", 32414, answers.media_server),
    Service("openvpn-amplification", 1194, answers.vpn_reset, (2.0, 6.0, 14.0), fresh=True),
    Service("rdpeudp-amplification", 3389, answers.desktop_syn_ack, (3.0, 6.0), fresh=True),
    Service("slp-amplification", 427, answers.service_location),
    Service("tp240-amplification", 10074, answers.trunk_calls, fresh=True),
    Service("ubiquiti-amplification", 10001, answers.radio_device),
    Service("tftp-amplification", 0, answers.first_block, (1.0, 2.0, 3.0, 4.0)),
    Service("mssql-amplification", 1434, answers.database_instances),
    Service("stun-amplification", 3478, answers.binding),
    Service("quic-amplification", 443, answers.quic, fresh=True),
    Service("dtls-amplification", 443, answers.dtls, fresh=True),
    Service("game-server-amplification", 27015, answers.game_info),
    Service("bittorrent-amplification", 6881, answers.dht_nodes),
    Service("sentinel-amplification", 5093, answers.licence_server),
    Service("xdmcp-amplification", 177, answers.display_willing),
    Service("lantronix-amplification", 30718, answers.adapter_setup),
    Service("natpmp-amplification", 5351, answers.external_address),
)
MAKERS = {kind.vector: partial(reflection, kind=kind) for kind in SERVICES}
