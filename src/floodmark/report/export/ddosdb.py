"""Write attacks as DDoS fingerprints, in the JSON of the DDoS dissector and DDoSDB (NLADC/dissector, fingerprint_format.md).

The events of one attack are the vectors of one fingerprint. Bytes are those of IP packets. The target is anonymous unless requested: a
fingerprint is made to be shared.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import numpy as np

from floodmark.base.writing import packed
from floodmark.claims.assets import NO_ASSETS, AssetsOfEvents
from floodmark.events.events import Event
from floodmark.events.makeup import Share
from floodmark.result.result import Result
from floodmark.vocabulary.vectors import RECORDS, VECTORS

MOST_SOURCES = 100_000  # most addresses listed per vector
_MAPPED_SHARE = 0.1  # of the packets; less goes to "others"
_EXPLAINED = 0.99
_FLAGS = "CEUAPRSF"


def write_ddosdb(path: str, result: Result, *, victims: bool = False, assets: AssetsOfEvents = NO_ASSETS) -> None:
    """Write a fingerprint, or a list of them for several attacks. assets: of events, as tags. Raises OutputError."""
    found = fingerprints(result, victims=victims, assets=assets)
    document = found[0] if len(found) == 1 else found
    with packed(path) as file:
        file.write(json.dumps(document, indent=2).encode() + b"\n")


def fingerprints(result: Result, *, victims: bool = False, assets: AssetsOfEvents = NO_ASSETS) -> list[dict[str, Any]]:
    """Return a fingerprint of each attack. victims: name the target. assets: of events, as tags."""
    ordered = sorted(result.events, key=lambda event: (event.attack, event.id))
    attacks = (list(events) for _, events in groupby(ordered, key=lambda event: event.attack))
    return [
        _fingerprint(result, events, {name for event in events for name in assets.get(event.id, ())}, victims=victims) for events in attacks
    ]


def _fingerprint(result: Result, events: list[Event], assets: set[str], *, victims: bool) -> dict[str, Any]:
    whole = sum(event.bytes for event in events if event.vector != "ip-fragment-flood")
    vectors = [_vector(result, event, whole) for event in events]
    start, end = min(event.start_ns for event in events), max(event.end_ns for event in events)
    packets, nbytes = sum(event.packets for event in events), sum(event.bytes for event in events)
    seconds = (end - start) // 1_000_000_000
    document = {
        "attack_vectors": vectors,
        "target": events[0].victims[0] if victims else "Anonymous",
        "tags": sorted({*_tags(events, vectors), *(f"asset:{name}" for name in assets)}),
        "key": "",
        "time_start": _moment(start),
        "time_end": _moment(end),
        "duration_seconds": seconds,
        "total_megabytes": nbytes // 1_000_000,
        "total_packets": packets,
        "total_ips": len({address for vector in vectors for address in vector["source_ips"]}),
        "avg_bps": nbytes * 8 // seconds if seconds else 0,
        "avg_pps": packets // seconds if seconds else 0,
        "avg_Bpp": nbytes // packets if packets else 0,
    }
    text = json.dumps({name: value for name, value in document.items() if name != "key"}, sort_keys=True)
    document["key"] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return document


def _vector(result: Result, event: Event, whole: int) -> dict[str, Any]:
    makeup, protocol = event.makeup, _protocol(event)
    fragments = event.vector == "ip-fragment-flood"
    return {
        "service": RECORDS[event.vector].ddosdb,
        "protocol": protocol,
        "fraction_of_attack": None if fragments else round(event.bytes / max(whole, 1), 3),
        "source_port": 0 if fragments or protocol not in ("TCP", "UDP") else _source_port(makeup.source_ports),
        "destination_ports": _mapped((share.value.partition("/")[0], share.share) for share in makeup.ports) or "random",
        "tcp_flags": _flags(result, event) if protocol == "TCP" else None,
        "nr_packets": event.packets,
        "nr_megabytes": event.bytes // 1_000_000,
        "time_start": _moment(event.start_ns),
        "duration_seconds": (event.end_ns - event.start_ns) // 1_000_000_000,
        "source_ips": result.flows.sources(event.id, MOST_SOURCES),
        "ttl": _mapped((share.value, share.share) for share in makeup.ttls) or "random",
    }


def _protocol(event: Event) -> str:
    vector = RECORDS[event.vector]
    if vector.parent == "ip-flood":
        return vector.protocol.upper()
    named = [share.value.partition("/")[2] for share in event.makeup.ports[:1]]
    return (named[0] if named else vector.protocol).upper()


def _source_port(shares: tuple[Share, ...]) -> int | str:
    return int(shares[0].value.partition("/")[0]) if shares and shares[0].share > 1 - _MAPPED_SHARE else "random"


def _mapped(shares: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the values with a share above a tenth, and the rest as others; empty if there are none."""
    found = {value: round(share, 3) for value, share in shares if share > _MAPPED_SHARE}
    left = 1 - sum(found.values())
    return found | {"others": round(left, 3)} if found and left > 1 - _EXPLAINED else found


def _flags(result: Result, event: Event) -> dict[str, float]:
    """Return which flags the senders set, over all flows of the attack."""
    flags, packets = result.flows.sent(event.id, "tcp_flags")
    totals = np.bincount(flags, weights=packets, minlength=256)
    order = np.argsort(-totals, kind="stable")
    return _mapped((_letters(int(value)), float(totals[value] / max(totals.sum(), 1))) for value in order if totals[value])


def _letters(flags: int) -> str:
    return "".join(letter if flags & 128 >> place else "." for place, letter in enumerate(_FLAGS))


def _tags(events: list[Event], vectors: list[dict[str, Any]]) -> list[str]:
    tags = []
    for event, vector in zip(events, vectors, strict=True):
        tags.append(vector["protocol"])
        if event.vector == "ip-fragment-flood":
            tags.append("Fragmentation attack")
        if VECTORS[event.vector][1] == "udp-reflection":
            tags.append("Amplification attack")
        if vector["service"] is None:
            tags.append(f"{vector['protocol']} flood attack")
        if "/" in event.victims[0]:
            tags.append("Carpet bombing attack")
        if vector["tcp_flags"]:
            tags.append(_flag_tag(list(vector["tcp_flags"])))
    whole = [event for event in events if event.vector != "ip-fragment-flood"]
    return [*tags, *(["Multi-vector attack"] if len(whole) > 1 else [])]


def _flag_tag(patterns: list[str]) -> str:
    names = dict(zip(reversed(_FLAGS), ("FIN", "SYN", "RESET", "PUSH", "ACK", "URGENT"), strict=False))
    if len(patterns) != 1:
        return "TCP flag attack"
    said = [name for letter, name in names.items() if letter in patterns[0]]
    return f"TCP {' '.join(said)} flag attack" if said else "TCP no flag attack"


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1000 / 1_000_000, UTC).isoformat()
