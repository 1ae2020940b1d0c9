"""The attack scenarios by name: how each is generated, its victim, and the bounds from which its extent is drawn."""

import random
from collections.abc import Callable
from typing import NamedTuple

import direct
import floods
import logins
import machines
import overloads
import queries
import reflections
import reflectors
import sessions
from attack import Attack, Extent
from dialogue import Host
from hosts import API, BASTION, FILES, MAIL, PHONE, RESOLVER, SHOP, SLOW, WEB

Maker = Callable[[random.Random, int, Extent, Host], Attack | tuple[Attack, ...]]


class Case(NamedTuple):
    """Describe an attack scenario: how it is generated, its victim, and the bounds from which its extent is drawn."""

    make: Maker
    victim: Host
    seconds: tuple[float, float]
    amount: tuple[int, int]
    why: str


def garbage_to_resolver(rng: random.Random, at_ns: int, extent: Extent, _: Host) -> Attack:
    """Flood the site's resolver while ordinary clients query it."""
    return queries.garbage_flood(rng, at_ns, extent, RESOLVER)


REFLECTED = reflectors.MAKERS
FLOOD, SHORT = ((0.1, 4.0), (900, 2000)), (0.1, 5.0)
CASES = {
    "tcp-syn-flood": Case(floods.spoofed_syn_flood, WEB, *FLOOD, "random sources, few TTLs, one fixed header"),
    "tcp-syn-flood-bots": Case(floods.bot_syn_flood, WEB, *FLOOD, "few sources, repeated ports, counting numbers"),
    "tcp-synack-reflection": Case(floods.synack_reflection, API, *FLOOD, "answers of real servers to forged SYNs"),
    "tcp-ack-flood": Case(floods.ack_flood, SHOP, *FLOOD, "segments of no connection"),
    "tcp-rst-flood": Case(floods.rst_flood, SHOP, *FLOOD, "resets of no connection"),
    "tcp-fin-flood": Case(floods.fin_flood, SHOP, *FLOOD, "FINs of no connection"),
    "tcp-flag-flood": Case(floods.odd_flags_flood, WEB, *FLOOD, "combinations of flags no stack sends"),
    "udp-flood": Case(floods.udp_flood, API, *FLOOD, "constant content from few sources"),
    "icmp-echo-flood": Case(floods.echo_flood, MAIL, *FLOOD, "echo requests at flood rate"),
    "icmp-unreachable-flood": Case(floods.unreachable_flood, MAIL, *FLOOD, "errors about packets never sent"),
    "ip-fragment-flood": Case(floods.fragment_flood, API, *FLOOD, "later fragments without a first"),
    "dns-amplification": Case(reflections.dns_amplification, API, SHORT, (90, 140), "large answers never asked for, partly fragmented"),
    "ntp-amplification": Case(reflections.ntp_amplification, API, SHORT, (250, 420), "monlist answers"),
    "memcached-amplification": Case(reflections.memcached_amplification, API, SHORT, (90, 180), "cached values over UDP"),
    "cldap-amplification": Case(reflections.cldap_amplification, WEB, SHORT, (90, 160), "root entries of directories"),
    "ssdp-amplification": Case(reflections.ssdp_amplification, WEB, SHORT, (300, 550), "answers of devices from port 1900"),
    "snmp-amplification": Case(reflections.snmp_amplification, WEB, SHORT, (250, 800), "bulk answers, in some seeds tiny ones"),
    "chargen-amplification": Case(reflections.chargen_amplification, SHOP, SHORT, (130, 230), "rotating characters"),
    "isakmp-amplification": Case(reflections.isakmp_amplification, SHOP, SHORT, (400, 750), "IKE answers from port 500 or 4500"),
    "bacnet-amplification": Case(reflections.bacnet_amplification, SHOP, SHORT, (600, 1200), "answers of building controllers"),
    "dhip-amplification": Case(reflections.dhip_amplification, MAIL, SHORT, (200, 300), "answers of video recorders"),
    "udp-reflection": Case(reflections.unknown_reflection, MAIL, SHORT, (200, 700), "one unknown source port on many servers"),
    "http-get-flood": Case(sessions.get_flood, SHOP, (1.2, 7), (420, 600), "bots that ask for one path"),
    "http-post-flood": Case(sessions.post_flood, SHOP, (1.2, 7), (350, 500), "bots that post to one path"),
    "http-cache-busting": Case(sessions.cache_busting_flood, SHOP, (1.2, 7), (400, 600), "queries that never repeat"),
    "http-slow-headers": Case(sessions.slow_headers, SLOW, (35, 60), (70, 150), "a header line now and then"),
    "http-slow-post": Case(sessions.slow_post, SLOW, (35, 60), (60, 130), "a form of which little comes"),
    "http-slow-read": Case(sessions.slow_read, SLOW, (30, 50), (24, 45), "windows that stay shut"),
    "connection-flood": Case(sessions.connection_flood, SLOW, (1, 4), (400, 700), "handshakes and nothing after"),
    "tls-handshake-flood": Case(sessions.tls_handshake_flood, SHOP, (0.8, 3), (140, 240), "handshakes that are never finished"),
    "vertical-scan": Case(sessions.vertical_scan, FILES, (4, 40), (500, 1000), "many ports of one host"),
    "horizontal-scan": Case(sessions.horizontal_scan, FILES, (3, 30), (150, 250), "one port of many hosts, mostly silent"),
    "host-sweep": Case(sessions.host_sweep, FILES, (2, 25), (150, 250), "one ping to each host"),
    "udp-scan": Case(sessions.udp_scan, FILES, (5, 40), (200, 600), "empty datagrams to many ports"),
    "stealth-scan": Case(sessions.stealth_scan, FILES, (4, 40), (300, 900), "probes without a SYN"),
    "ssh-bruteforce": Case(sessions.ssh_guessing, BASTION, (25, 50), (25, 42), "short connections, all alike"),
    "ftp-bruteforce": Case(sessions.ftp_guessing, FILES, (30, 60), (50, 110), "530 after 530"),
    "mqtt-bruteforce": Case(sessions.mqtt_guessing, API, (20, 60), (80, 200), "refused connections to a broker"),
    "qotd-amplification": Case(REFLECTED["qotd-amplification"], WEB, SHORT, (300, 550), "quotes of the day"),
    "rip-amplification": Case(REFLECTED["rip-amplification"], WEB, SHORT, (200, 380), "routing tables of old routers"),
    "portmap-amplification": Case(REFLECTED["portmap-amplification"], WEB, SHORT, (180, 340), "lists of programs"),
    "mdns-amplification": Case(REFLECTED["mdns-amplification"], API, SHORT, (300, 600), "lists of services, unicast"),
    "netbios-amplification": Case(REFLECTED["netbios-amplification"], API, SHORT, (350, 700), "node status answers"),
    "wsd-amplification": Case(REFLECTED["wsd-amplification"], API, SHORT, (110, 165), "envelopes of cameras and printers"),
    "coap-amplification": Case(REFLECTED["coap-amplification"], API, SHORT, (150, 260), "resources of small devices"),
    "arms-amplification": Case(REFLECTED["arms-amplification"], SHOP, SHORT, (110, 165), "answers of Macs, mostly zeros"),
    "jenkins-amplification": Case(REFLECTED["jenkins-amplification"], SHOP, SHORT, (350, 750), "answers of build servers"),
    "plex-amplification": Case(REFLECTED["plex-amplification"], SHOP, SHORT, (300, 550), "answers of media servers"),
    "openvpn-amplification": Case(REFLECTED["openvpn-amplification"], SHOP, (2, 15), (700, 1500), "server resets, again and again"),
    "rdpeudp-amplification": Case(REFLECTED["rdpeudp-amplification"], MAIL, (1, 10), (90, 140), "padded SYN+ACK datagrams, three times"),
    "slp-amplification": Case(REFLECTED["slp-amplification"], MAIL, SHORT, (110, 165), "attributes and services, partly fragmented"),
    "tp240-amplification": Case(REFLECTED["tp240-amplification"], MAIL, SHORT, (600, 1600), "reports of test calls"),
    "ubiquiti-amplification": Case(REFLECTED["ubiquiti-amplification"], MAIL, SHORT, (400, 900), "answers of radio devices"),
    "tftp-amplification": Case(REFLECTED["tftp-amplification"], API, (1, 8), (180, 310), "first blocks from ports of their own"),
    "mssql-amplification": Case(REFLECTED["mssql-amplification"], API, SHORT, (250, 450), "lists of database instances"),
    "stun-amplification": Case(REFLECTED["stun-amplification"], API, SHORT, (500, 1200), "binding answers"),
    "quic-amplification": Case(REFLECTED["quic-amplification"], WEB, SHORT, (110, 160), "first flights of web servers"),
    "dtls-amplification": Case(REFLECTED["dtls-amplification"], WEB, SHORT, (220, 360), "cookies and certificates"),
    "game-server-amplification": Case(REFLECTED["game-server-amplification"], WEB, SHORT, (350, 750), "states of game servers"),
    "bittorrent-amplification": Case(REFLECTED["bittorrent-amplification"], WEB, SHORT, (200, 420), "answers of a hash table's nodes"),
    "sentinel-amplification": Case(REFLECTED["sentinel-amplification"], SHOP, SHORT, (130, 230), "answers of licence servers"),
    "xdmcp-amplification": Case(REFLECTED["xdmcp-amplification"], SHOP, SHORT, (600, 1400), "offers of displays"),
    "lantronix-amplification": Case(REFLECTED["lantronix-amplification"], SHOP, SHORT, (300, 700), "setup records of serial adapters"),
    "natpmp-amplification": Case(REFLECTED["natpmp-amplification"], SHOP, SHORT, (800, 1900), "external addresses of gateways"),
    "tcp-middlebox-reflection": Case(direct.middlebox_reflection, WEB, (0.3, 6.0), (250, 360), "block pages without a handshake"),
    "tcp-out-of-state-flood": Case(direct.out_of_state_flood, SHOP, (0.1, 4.0), (700, 1000), "every kind of segment, none of a connection"),
    "game-query-flood": Case(direct.game_query_flood, API, (0.1, 4.0), (550, 800), "queries for a game's state, in some seeds answered"),
    "smurf": Case(direct.smurf, MAIL, (0.3, 6.0), (900, 1500), "echo replies of one network, never asked for"),
    "gre-flood": Case(direct.gre_flood, API, (0.1, 4.0), (260, 300), "GRE around random datagrams, as Mirai sends it"),
    "esp-flood": Case(direct.esp_flood, API, (0.1, 4.0), (500, 900), "ESP with another index in each packet"),
    "ip-protocol-flood": Case(direct.protocol_flood, API, (0.1, 4.0), (500, 900), "random IP protocols"),
    "land": Case(direct.land, FILES, (0.1, 4.0), (900, 1800), "SYNs from the victim's own address and port"),
    "udp-flood-carpet": Case(direct.carpet_udp_flood, WEB, (0.5, 8.0), (1000, 1500), "a few datagrams to each host of a prefix"),
    "dns-amplification-carpet": Case(
        direct.carpet_dns_amplification, WEB, (0.5, 8.0), (205, 235), "a few answers to each host of a prefix"
    ),
    "tcp-syn-flood-pulse": Case(direct.pulse_syn_flood, WEB, (80, 150), (800, 1200), "bursts of a second with long pauses"),
    "udp-flood-pulse": Case(direct.pulse_udp_flood, API, (80, 150), (900, 1400), "bursts of a second with long pauses"),
    "multi-vector": Case(direct.multi_vector, WEB, (0.5, 4.0), (650, 850), "SYNs, datagrams and DNS answers at once"),
    "tcp-syn-flood-moving": Case(direct.moving_syn_flood, SHOP, (2, 15), (800, 1100), "three victims, one after the other"),
    "dns-query-flood": Case(queries.dns_query_flood, RESOLVER, (0.2, 4), (900, 1500), "one question over and over, hardly answered"),
    "dns-water-torture": Case(queries.water_torture, RESOLVER, (0.5, 6), (700, 1200), "random names under one domain, via resolvers"),
    "dns-garbage-flood": Case(garbage_to_resolver, RESOLVER, (0.2, 2), (450, 900), "datagrams to port 53 that are no DNS messages"),
    "sip-invite-flood": Case(queries.invite_flood, PHONE, (0.3, 3), (150, 260), "calls that nobody acknowledges"),
    "sip-register-flood": Case(queries.register_flood, PHONE, (0.3, 3), (220, 330), "registrations without a password"),
    "mqtt-flood": Case(overloads.mqtt_flood, API, (0.2, 0.5), (110, 220), "large messages from a few clients"),
    "http2-rapid-reset": Case(overloads.rapid_reset, SHOP, (0.3, 4), (1500, 3500), "streams reset as soon as they are opened"),
    "http2-continuation-flood": Case(overloads.continuation_flood, SHOP, (0.3, 4), (400, 1500), "header blocks without an end"),
    "https-flood": Case(overloads.https_flood, SHOP, (0.8, 3.5), (56, 78), "short connections over TLS, all alike"),
    "http-credential-stuffing": Case(logins.credential_stuffing, SHOP, (72, 108), (46, 74), "leaked passwords, 25 to 60 a minute"),
    "rdp-bruteforce": Case(logins.rdp_guessing, FILES, (20, 60), (25, 42), "remote desktop logins that fail"),
    "telnet-bruteforce": Case(logins.telnet_guessing, FILES, (25, 60), (40, 75), "passwords of small devices"),
    "smtp-bruteforce": Case(logins.smtp_guessing, MAIL, (25, 60), (40, 75), "535 after 535"),
    "imap-bruteforce": Case(logins.imap_guessing, MAIL, (25, 60), (50, 95), "NO after NO"),
    "pop3-bruteforce": Case(logins.pop3_guessing, MAIL, (25, 60), (50, 95), "-ERR after -ERR"),
    "database-bruteforce": Case(logins.database_guessing, FILES, (15, 60), (60, 110), "refused logins to one of three databases"),
    "ssh-bruteforce-distributed": Case(logins.distributed_ssh_guessing, BASTION, (40, 110), (61, 66), "sixty sources, a few tries each"),
    "protocol-fuzzing": Case(machines.protocol_fuzzing, API, (6, 60), (110, 150), "another malformed message on each connection"),
    "industrial-command-flood": Case(
        machines.industrial_command_flood, FILES, (0.8, 1.8), (450, 800), "control commands, hundreds a second"
    ),
}
