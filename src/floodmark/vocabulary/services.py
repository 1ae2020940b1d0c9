"""Port numbers that classification uses: where servers listen, and which services are used as reflectors.

A port is only a hint: it decides who started a flow captured from the middle, and which payload format to look for.
Sources: IANA service names; US-CERT TA14-017A and the AMP-Research reports for reflectors.
"""

import numpy as np

from floodmark.vocabulary.vectors import RECORDS
from floodmark_core.columns import U8
from floodmark_core.kinds import PORT_REFLECTOR, PORT_SERVICE

# Services over TCP (and some over UDP) in addition to the well-known ports below 1024, all of which count as services.
SERVICE_PORTS = (
    1080, 1433, 1521, 1723, 1883, 2049, 2181, 2375, 2404, 3000, 3128, 3306, 3389, 4369, 4786, 4840, 5000, 5060, 5061, 5222, 5432, 5555,
    5601, 5672, 5900, 5901, 5984, 5985, 6379, 6443, 6667, 7547, 8000, 8008, 8080, 8081, 8443, 8554, 8883, 8888, 9000, 9042, 9092, 9100,
    9200, 9300, 11434, 20000, 25565, 25575, 27017, 28015, 44818, 50000,
)  # fmt: skip

# UDP services that have been used as reflectors: those of the vectors, and some without a vector of their own.
REFLECTOR_PORTS = (
    *(port for vector in RECORDS.values() if vector.parent == "udp-reflection" for port in vector.ports),
    623, 1604, 2362, 5060, 7001, 17185, 41794, 53413,
)  # fmt: skip

WELL_KNOWN_END = 1024


def service_ports() -> U8:
    """Return the rank of each of the 65,536 ports (kinds.py PORT_)."""
    ranks = np.zeros(1 << 16, np.uint8)
    ranks[1:WELL_KNOWN_END] = PORT_SERVICE
    ranks[list(SERVICE_PORTS)] = PORT_SERVICE
    ranks[list(REFLECTOR_PORTS)] = PORT_REFLECTOR
    return ranks


# UDP services that only listen: syslog, SNMP traps, NetFlow, IPFIX, sFlow, StatsD, GELF. A stream to one gets no reply by design.
ONE_WAY_PORTS = (162, 514, 2055, 4739, 6343, 8125, 9555, 9995, 9996, 12201)

# Log-in service by TCP port, for password guessing: the vector of "ssh" is ssh-bruteforce.
LOGIN_PORTS = {
    port: vector.name.removesuffix("-bruteforce") for vector in RECORDS.values() if vector.parent == "bruteforce" for port in vector.ports
}
