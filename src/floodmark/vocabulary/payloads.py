"""Names for the payload codes of the core, and which protocols' replies reflectors are made of."""

import numpy as np

from floodmark_core.columns import U8
from floodmark_core.flows import payload

# Protocol (payload.py) -> vector that a flood of its replies is.
REFLECTION_VECTORS = {
    payload.DNS: "dns-amplification",
    payload.NTP_CONTROL: "ntp-amplification",
    payload.NTP_PRIVATE: "ntp-amplification",
    payload.NTP: "ntp-amplification",
    payload.MEMCACHED: "memcached-amplification",
    payload.CLDAP: "cldap-amplification",
    payload.SSDP: "ssdp-amplification",
    payload.SNMP: "snmp-amplification",
    payload.CHARGEN: "chargen-amplification",
    payload.QOTD: "qotd-amplification",
    payload.IKE: "isakmp-amplification",
    payload.BACNET: "bacnet-amplification",
    payload.DHIP: "dhip-amplification",
    payload.MDNS: "mdns-amplification",
    payload.NETBIOS: "netbios-amplification",
    payload.WSD: "wsd-amplification",
    payload.COAP: "coap-amplification",
    payload.ARMS: "arms-amplification",
    payload.RIP: "rip-amplification",
    payload.PORTMAP: "portmap-amplification",
    payload.MSSQL: "mssql-amplification",
    payload.GAME: "game-server-amplification",
    payload.OPENVPN: "openvpn-amplification",
    payload.UBIQUITI: "ubiquiti-amplification",
    payload.XDMCP: "xdmcp-amplification",
    payload.SLP: "slp-amplification",
    payload.STUN: "stun-amplification",
    payload.DTLS: "dtls-amplification",
    payload.TP240: "tp240-amplification",
    payload.JENKINS: "jenkins-amplification",
    payload.PLEX: "plex-amplification",
    payload.TFTP: "tftp-amplification",
    payload.QUIC: "quic-amplification",
    payload.BITTORRENT: "bittorrent-amplification",
    payload.NATPMP: "natpmp-amplification",
    payload.SENTINEL: "sentinel-amplification",
    payload.RDPEUDP: "rdpeudp-amplification",
}

PROTOCOL_NAMES = {
    payload.DNS: "DNS", payload.NTP: "NTP", payload.NTP_CONTROL: "NTP mode 6", payload.NTP_PRIVATE: "NTP mode 7",
    payload.MEMCACHED: "memcached",
    payload.CLDAP: "CLDAP", payload.SSDP: "SSDP", payload.SNMP: "SNMP", payload.CHARGEN: "CHARGEN",
    payload.QOTD: "QOTD", payload.IKE: "IKE",
    payload.BACNET: "BACnet", payload.DHIP: "DHIP", payload.MDNS: "mDNS", payload.NETBIOS: "NetBIOS", payload.WSD: "WS-Discovery",
    payload.COAP: "CoAP", payload.ARMS: "ARMS", payload.RIP: "RIPv1", payload.PORTMAP: "portmap", payload.TFTP: "TFTP",
    payload.MSSQL: "MSSQL resolution", payload.STUN: "STUN", payload.GAME: "game server", payload.OPENVPN: "OpenVPN",
    payload.UBIQUITI: "Ubiquiti discovery", payload.XDMCP: "XDMCP", payload.SLP: "SLP", payload.HTTP: "HTTP", payload.TLS: "TLS",
    payload.SSH: "SSH", payload.MQTT: "MQTT", payload.RTP: "RTP", payload.QUIC: "QUIC", payload.DTLS: "DTLS", payload.SIP: "SIP",
    payload.BITTORRENT: "BitTorrent", payload.BANNER: "server banner", payload.RDP: "RDP",
    payload.TP240: "TP-240", payload.JENKINS: "Jenkins",
    payload.PLEX: "Plex", payload.NATPMP: "NAT-PMP", payload.SENTINEL: "Sentinel", payload.RDPEUDP: "RDP over UDP",
    payload.HTTP2: "HTTP/2", payload.MODBUS: "Modbus", payload.S7: "S7", payload.IEC104: "IEC 60870-5-104", payload.DNP3: "DNP3",
    payload.ENIP: "EtherNet/IP", payload.OPCUA: "OPC UA",
}  # fmt: skip

# Protocols of telephony, video, games and tunnels that are one-way UDP in a one-sided capture of ordinary traffic.
MEDIA_PROTOCOLS = (payload.RTP, payload.QUIC, payload.DTLS, payload.STUN, payload.OPENVPN, payload.BITTORRENT, payload.GAME)


def reply_code(protocol: int) -> int:
    """Return the payload code of a protocol's replies."""
    return 2 * protocol + payload.REPLY


def payload_name(code: int) -> str:
    """Return a payload code in words."""
    if code < 2 * payload.DNS:
        return ("none", "unrecognised", "one octet repeated", "unused")[code]
    return f"{PROTOCOL_NAMES[code // 2]} {'reply' if code & 1 else 'request'}"


def _answer_kinds() -> U8:
    codes: U8 = np.zeros(256, np.uint8)
    codes[[reply_code(protocol) for protocol in REFLECTION_VECTORS]] = 1
    return codes


ANSWER_KINDS = _answer_kinds()
