"""Port numbers whose meaning the classification uses: where servers listen, and which of them reflectors are made of.

A port is only a hint: it settles who began a flow that was joined in the middle, and which payload shape to look for.
Sources: IANA service names; US-CERT TA14-017A and the AMP-Research reports for reflectors.
"""

import numpy as np

from floodmark_core.columns import U8
from floodmark_core.kinds import PORT_REFLECTOR, PORT_SERVICE

# Services reached over TCP (and some over UDP) beside the well-known ports below 1024, all of which count as services.
SERVICE_PORTS = (
    1080, 1433, 1521, 1723, 1883, 2049, 2181, 2375, 2404, 3000, 3128, 3306, 3389, 4369, 4786, 4840, 5000, 5060, 5061, 5222, 5432, 5555,
    5601, 5672, 5900, 5901, 5984, 5985, 6379, 6443, 6667, 7547, 8000, 8008, 8080, 8081, 8443, 8554, 8883, 8888, 9000, 9042, 9092, 9100,
    9200, 9300, 11434, 20000, 25565, 25575, 27017, 28015, 44818, 50000,
)  # fmt: skip

# UDP services that have been used as reflectors.
REFLECTOR_PORTS = (
    17, 19, 53, 69, 111, 123, 137, 161, 177, 389, 427, 500, 520, 623, 1194, 1434, 1604, 1900, 2362, 3283, 3389, 3478, 3702, 4500, 5060,
    5093, 5351, 5353, 5355, 5683, 6881, 7001, 10001, 10074, 11211, 17185, 27015, 27036, 27960, 30120, 30718, 32412, 32414, 33848, 37810,
    41794, 47808, 53413,
)  # fmt: skip

WELL_KNOWN_END = 1024


def service_ports() -> U8:
    """Return the rank of each of the 65,536 ports (kinds.py PORT_)."""
    ranks = np.zeros(1 << 16, np.uint8)
    ranks[1:WELL_KNOWN_END] = PORT_SERVICE
    ranks[list(SERVICE_PORTS)] = PORT_SERVICE
    ranks[list(REFLECTOR_PORTS)] = PORT_REFLECTOR
    return ranks


# UDP services that only listen: syslog, SNMP traps, NetFlow, IPFIX, sFlow, StatsD, GELF. A stream to one gets no answer by design.
ONE_WAY_PORTS = (162, 514, 2055, 4739, 6343, 8125, 9555, 9995, 9996, 12201)

# Service by TCP port for guessing at log-ins: the vector it names.
LOGIN_PORTS = {
    21: "ftp", 22: "ssh", 2222: "ssh", 23: "telnet", 2323: "telnet", 25: "smtp", 465: "smtp", 587: "smtp", 110: "pop3", 995: "pop3",
    143: "imap", 993: "imap", 3389: "rdp", 1433: "database", 1521: "database", 3306: "database", 5432: "database", 6379: "database",
    27017: "database", 1883: "mqtt", 8883: "mqtt",
}  # fmt: skip
