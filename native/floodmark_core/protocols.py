"""Shared constants: IP protocol numbers (the IANA registry) and units of time."""

ICMP, IP_IN_IP, TCP, UDP, DCCP, IPV6_IN_IP, GRE, ESP, AH, ICMPV6 = 1, 4, 6, 17, 33, 41, 47, 50, 51, 58
ETHERNET_IN_IP, SCTP, UDP_LITE = 97, 132, 136

SECOND_NS = 1_000_000_000
DAY_S = 86_400
DAY_NS = DAY_S * SECOND_NS
