"""The vocabulary of answers: verdicts, vectors and the tree they form, and names for the core's codes."""

from enum import StrEnum


class Verdict(StrEnum):
    """What a flow or an event is."""

    VOLUMETRIC = "volumetric"  # harm by quantity
    APPLICATION_LAYER = "application-layer"  # harm by what is said
    BENIGN = "benign"  # neither


# Vectors by verdict: parent -> children. A precise name also counts as its parent.
_VOLUMETRIC = {
    "udp-reflection": (
        "dns-amplification", "ntp-amplification", "memcached-amplification", "cldap-amplification", "ssdp-amplification",
        "snmp-amplification", "chargen-amplification", "qotd-amplification", "rip-amplification", "portmap-amplification",
        "mdns-amplification", "netbios-amplification", "wsd-amplification", "coap-amplification", "arms-amplification",
        "jenkins-amplification", "plex-amplification", "openvpn-amplification", "rdpeudp-amplification", "slp-amplification",
        "tp240-amplification", "bacnet-amplification", "isakmp-amplification", "dhip-amplification", "ubiquiti-amplification",
        "tftp-amplification", "mssql-amplification", "stun-amplification", "quic-amplification", "dtls-amplification",
        "game-server-amplification", "bittorrent-amplification", "sentinel-amplification", "xdmcp-amplification", "natpmp-amplification",
    ),
    "tcp-reflection": ("tcp-synack-reflection", "tcp-middlebox-reflection"),
    "tcp-flood": ("tcp-syn-flood", "tcp-ack-flood", "tcp-rst-flood", "tcp-fin-flood", "tcp-flag-flood", "tcp-out-of-state-flood"),
    "udp-flood": ("game-query-flood",),
    "icmp-flood": ("icmp-echo-flood", "icmp-unreachable-flood", "smurf"),
    "ip-flood": ("ip-fragment-flood", "gre-flood", "esp-flood", "ip-protocol-flood", "land"),
}  # fmt: skip
_APPLICATION_LAYER = {
    "http-flood": ("http-get-flood", "http-post-flood", "http-cache-busting", "http2-rapid-reset", "http2-continuation-flood",
                   "https-flood"),
    "slow-connection": ("http-slow-headers", "http-slow-post", "http-slow-read"),
    "connection-flood": ("tls-handshake-flood",),
    "dns-query-flood": ("dns-water-torture", "dns-garbage-flood"),
    "sip-flood": ("sip-invite-flood", "sip-register-flood"),
    "mqtt-flood": (),
    "bruteforce": (
        "ssh-bruteforce", "ftp-bruteforce", "rdp-bruteforce", "telnet-bruteforce", "smtp-bruteforce", "imap-bruteforce",
        "pop3-bruteforce", "database-bruteforce", "mqtt-bruteforce", "http-credential-stuffing",
    ),
    "port-scan": ("vertical-scan", "horizontal-scan", "stealth-scan", "udp-scan", "host-sweep"),
    "protocol-abuse": ("protocol-fuzzing", "industrial-command-flood"),
}  # fmt: skip


def _tree() -> dict[str, tuple[Verdict, str]]:
    tree = {}
    for verdict, parents in ((Verdict.VOLUMETRIC, _VOLUMETRIC), (Verdict.APPLICATION_LAYER, _APPLICATION_LAYER)):
        for parent, children in parents.items():
            for vector in (parent, *children):
                tree[vector] = (verdict, parent)
    return tree


# Vector -> (verdict, parent vector; itself at the top).
VECTORS = _tree()

ORDINARY = "ordinary"  # the vector of a flow that belongs to no attack
END_REASONS = ("end-of-capture", "idle-timeout", "active-timeout", "tcp-fin", "tcp-rst", "tcp-syn-reuse")
INITIATOR_BASES = ("first", "syn", "synack", "proto", "port", "parent")
LINK_TYPES = {
    0: "NULL", 1: "ETHERNET", 9: "PPP", 12: "RAW", 14: "RAW", 50: "PPP_HDLC", 101: "RAW", 104: "C_HDLC", 105: "IEEE802_11", 107: "FRELAY",
    108: "LOOP", 113: "LINUX_SLL", 119: "IEEE802_11_PRISM", 127: "IEEE802_11_RADIOTAP", 147: "USER0", 187: "BLUETOOTH_HCI_H4",
    192: "PPI", 195: "IEEE802_15_4_WITHFCS", 220: "USB_LINUX_MMAPPED", 228: "IPV4", 229: "IPV6", 249: "USBPCAP", 276: "LINUX_SLL2",
}  # fmt: skip
ETHERTYPES = {
    0x0000: "ieee-802.3", 0x0806: "arp", 0x8035: "rarp", 0x8847: "mpls", 0x8848: "mpls-multicast", 0x8863: "pppoe-discovery",
    0x8864: "pppoe-session", 0x888E: "eapol", 0x88CC: "lldp", 0x8892: "profinet", 0x88E7: "ieee-802.1ah", 0x88F7: "ptp", 0x8899: "realtek",
    0x88A4: "ethercat", 0x88B8: "goose", 0x88BA: "sampled-values", 0x9000: "loopback", 0x8809: "slow-protocols",
}  # fmt: skip


def link_type_name(code: int) -> str:
    """Return the LINKTYPE_ name of a code, or the number as text."""
    return LINK_TYPES.get(code, str(code))


def ethertype_name(code: int) -> str:
    """Return a short name of an EtherType, or its hexadecimal number."""
    return ETHERTYPES.get(code, f"0x{code:04x}")
