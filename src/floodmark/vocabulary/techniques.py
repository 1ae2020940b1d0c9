"""Vectors in the words of MITRE ATT&CK (Enterprise) and CAPEC."""

from dataclasses import dataclass

from floodmark.vocabulary.terms import VECTORS


@dataclass(frozen=True)
class Technique:
    """A technique of ATT&CK and the pattern of CAPEC next to it."""

    id: str
    name: str
    tactic: str  # short name
    tactic_id: str
    capec: str

    @property
    def url(self) -> str:
        """Where ATT&CK describes it."""
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"


_IMPACT, _CREDENTIALS, _RECONNAISSANCE = ("impact", "TA0040"), ("credential-access", "TA0006"), ("reconnaissance", "TA0043")
_DIRECT = ("T1498.001", "Direct Network Flood", *_IMPACT)
_REFLECTED = Technique("T1498.002", "Reflection Amplification", *_IMPACT, "CAPEC-490")
_STATE = Technique("T1499.001", "OS Exhaustion Flood", *_IMPACT, "CAPEC-482")
_SERVICE = ("T1499.002", "Service Exhaustion Flood", *_IMPACT)
_GUESSING = Technique("T1110.001", "Password Guessing", *_CREDENTIALS, "CAPEC-49")
_SCANNING = Technique("T1595.001", "Scanning IP Blocks", *_RECONNAISSANCE, "CAPEC-300")

# By vector, or by its parent.
_TECHNIQUES = {
    "udp-reflection": _REFLECTED,
    "tcp-reflection": _REFLECTED,
    "tcp-flood": _STATE,
    "udp-flood": Technique(*_DIRECT, "CAPEC-486"),
    "icmp-flood": Technique(*_DIRECT, "CAPEC-487"),
    "smurf": _REFLECTED,
    "ip-flood": Technique(*_DIRECT, "CAPEC-125"),
    "http-flood": Technique(*_SERVICE, "CAPEC-488"),
    "slow-connection": Technique(*_SERVICE, "CAPEC-469"),
    "connection-flood": Technique(*_SERVICE, "CAPEC-125"),
    "dns-query-flood": Technique(*_SERVICE, "CAPEC-125"),
    "sip-flood": Technique(*_SERVICE, "CAPEC-125"),
    "mqtt-flood": Technique(*_SERVICE, "CAPEC-125"),
    "bruteforce": _GUESSING,
    "http-credential-stuffing": Technique("T1110.004", "Credential Stuffing", *_CREDENTIALS, "CAPEC-600"),
    "port-scan": Technique("T1595", "Active Scanning", *_RECONNAISSANCE, "CAPEC-300"),
    "horizontal-scan": _SCANNING,
    "host-sweep": _SCANNING,
    "protocol-abuse": Technique("T1499", "Endpoint Denial of Service", *_IMPACT, "CAPEC-125"),
}


def technique_of(vector: str) -> Technique:
    """Return the technique that a vector is."""
    return _TECHNIQUES.get(vector) or _TECHNIQUES[VECTORS[vector][1]]
