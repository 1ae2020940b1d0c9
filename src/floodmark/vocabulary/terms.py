"""Names for the core's codes: end reasons, tunnels, link types, EtherTypes, IP protocols."""

from floodmark_core.protocols import DCCP, SCTP, TCP, UDP, UDP_LITE

END_REASONS = ("end-of-capture", "idle-timeout", "active-timeout", "tcp-fin", "tcp-rst", "tcp-syn-reuse")
TUNNELS = (
    "ipip",
    "6in4",
    "etherip",
    "gre",
    "erspan",
    "vxlan",
    "geneve",
    "gtp-u",
    "l2tp",
    "teredo",
    "mpls-over-udp",
)  # by kinds.py TUNNEL_ - 1
INITIATOR_BASES = ("first", "syn", "synack", "proto", "port", "parent")
LINK_TYPES = {
    0: "NULL", 1: "ETHERNET", 3: "AX25", 6: "IEEE802_5", 8: "SLIP", 9: "PPP", 10: "FDDI", 12: "RAW", 14: "RAW", 50: "PPP_HDLC",
    51: "PPP_ETHER", 100: "ATM_RFC1483", 101: "RAW", 104: "C_HDLC", 105: "IEEE802_11", 106: "ATM_CLIP", 107: "FRELAY", 108: "LOOP",
    109: "ENC", 113: "LINUX_SLL", 117: "PFLOG", 119: "IEEE802_11_PRISM", 122: "IP_OVER_FC", 123: "SUNATM", 127: "IEEE802_11_RADIOTAP",
    129: "ARCNET_LINUX", 138: "APPLE_IP_OVER_IEEE1394", 139: "MTP2_WITH_PHDR", 140: "MTP2", 141: "MTP3", 142: "SCCP", 143: "DOCSIS",
    144: "LINUX_IRDA", 147: "USER0", 148: "USER1", 149: "USER2", 163: "IEEE802_11_AVS", 165: "BACNET_MS_TP", 166: "PPP_PPPD",
    169: "GPRS_LLC", 177: "LINUX_LAPD", 182: "MFR", 186: "USB_FREEBSD", 187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX", 190: "CAN20B",
    191: "IEEE802_15_4_LINUX", 192: "PPI", 195: "IEEE802_15_4_WITHFCS", 196: "SITA", 197: "ERF", 198: "RAIF1",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR", 202: "AX25_KISS", 203: "LAPD", 204: "PPP_WITH_DIR", 205: "C_HDLC_WITH_DIR", 206: "FRELAY_WITH_DIR",
    209: "IPMB_LINUX", 210: "FLEXRAY", 211: "MOST", 212: "LIN", 215: "IEEE802_15_4_NONASK_PHY", 220: "USB_LINUX_MMAPPED", 224: "FC_2",
    225: "FC_2_WITH_FRAME_DELIMS", 226: "IPNET", 227: "CAN_SOCKETCAN", 228: "IPV4", 229: "IPV6", 230: "IEEE802_15_4_NOFCS", 231: "DBUS",
    235: "DVB_CI", 237: "STANAG_5066_D_PDU", 239: "NFLOG", 240: "NETANALYZER", 242: "IPOIB", 243: "MPEG_2_TS", 245: "NFC_LLCP",
    247: "INFINIBAND", 248: "SCTP", 249: "USBPCAP", 250: "RTAC_SERIAL", 251: "BLUETOOTH_LE_LL", 252: "WIRESHARK_UPPER_PDU",
    253: "NETLINK", 254: "BLUETOOTH_LINUX_MONITOR", 255: "BLUETOOTH_BREDR_BB", 256: "BLUETOOTH_LE_LL_WITH_PHDR", 257: "PROFIBUS_DL",
    258: "PKTAP", 262: "ZWAVE_R1_R2", 263: "ZWAVE_R3", 264: "WATTSTOPPER_DLM", 265: "ISO_14443", 272: "NORDIC_BLE",
    274: "ETHERNET_MPACKET", 275: "DISPLAYPORT_AUX", 276: "LINUX_SLL2", 278: "OPENVIZSLA", 279: "EBHSCR", 281: "DSA_TAG_BRCM",
    282: "DSA_TAG_BRCM_PREPEND", 283: "IEEE802_15_4_TAP", 284: "DSA_TAG_DSA", 285: "DSA_TAG_EDSA", 287: "Z_WAVE_SERIAL", 288: "USB_2_0",
}  # fmt: skip
ETHERTYPES = {
    0x0000: "ieee-802.3", 0x05FF: "ieee-802.11-protected", 0x0806: "arp", 0x2000: "cdp", 0x22F3: "trill", 0x8035: "rarp",
    0x8809: "slow-protocols", 0x880B: "ppp", 0x8847: "mpls", 0x8848: "mpls-multicast", 0x8863: "pppoe-discovery", 0x8864: "pppoe-session",
    0x886F: "nlb", 0x888E: "eapol", 0x8892: "profinet", 0x8899: "realtek", 0x88A4: "ethercat", 0x88B8: "goose", 0x88BA: "sampled-values",
    0x88CC: "lldp", 0x88E5: "macsec", 0x88E7: "ieee-802.1ah", 0x88F7: "ptp", 0x8903: "fabricpath", 0x8906: "fcoe", 0x8914: "fip",
    0x9000: "loopback", 0xFEFE: "osi",
}  # fmt: skip


WITH_PORTS = (TCP, UDP, DCCP, SCTP, UDP_LITE)

# IP protocol numbers (IANA registry) found in captures.
PROTOCOLS = {
    0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag",
    46: "rsvp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 59: "ipv6-nonxt", 60: "ipv6-opts", 88: "eigrp", 89: "ospf", 97: "etherip",
    103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp", 132: "sctp", 135: "mobility", 136: "udp-lite", 137: "mpls-in-ip", 139: "hip",
}  # fmt: skip


def protocol_name(number: int) -> str:
    """Return the name of an IP protocol, or its number as text."""
    return PROTOCOLS.get(number, str(number))


def link_type_name(code: int) -> str:
    """Return the LINKTYPE_ name of a code, or the number as text."""
    return LINK_TYPES.get(code, str(code))


def ethertype_name(code: int) -> str:
    """Return a short name of an EtherType, or its hexadecimal number; lower values are names of link types without IP."""
    if 0 < code < 0x05FF:
        return link_type_name(code).lower().replace("_", "-")
    return ETHERTYPES.get(code, f"0x{code:04x}")
