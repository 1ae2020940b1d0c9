"""Write events as alerts and flows as connections in the Elastic Common Schema, one JSON object per line.

Values for which the schema has no field are under ``floodmark``.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from floodmark.base.writing import packed
from floodmark.claims.assets import NO_ASSETS, AssetsOfEvents
from floodmark.events.events import Event
from floodmark.report.export.lines import bytes_of, joined, text_of, where_known
from floodmark.result.result import Result, rfc3339, tool
from floodmark.vocabulary.terms import PROTOCOLS
from floodmark.vocabulary.vectors import RECORDS, title_of

_VERSION = "8.17.0"  # of the schema
_MOST_RELATED = 100  # addresses of an alert
_TRANSPORTS = {58: "ipv6-icmp"}


def write_ecs(path: str, result: Result, assets: AssetsOfEvents = NO_ASSETS) -> None:
    """Write an alert for each event, then a document for each flow. assets: of events, for the alerts. Raises OutputError."""
    with packed(path) as file:
        for event in result.events:
            alert = _alert(event)
            if event.id in assets:
                alert["floodmark"]["assets"] = list(assets[event.id])
            file.write(json.dumps(alert).encode() + b"\n")
        for batch in result.flows.batches():
            file.write(bytes_of(_connections(batch)))


def _alert(event: Event) -> dict[str, Any]:
    technique, made_by = RECORDS[event.vector].technique, tool()
    parent, _, sub = technique.id.partition(".")
    what: dict[str, Any] = {"id": [parent], "name": [technique.name], "reference": [technique.url]}
    threat: dict[str, Any] = {
        "framework": "MITRE ATT&CK",
        "tactic": {"id": [technique.tactic_id], "name": [technique.tactic.replace("-", " ").title()]},
        "technique": {"id": [parent], "subtechnique": {**what, "id": [technique.id]}} if sub else what,
    }
    return {
        "@timestamp": rfc3339(event.start_ns),
        "ecs": {"version": _VERSION},
        "message": f"{title_of(event.vector)} on {event.victims[0]}: {event.packets:,} packets from {event.sources:,} sources",
        "event": {
            "kind": "alert", "category": ["intrusion_detection", "network"], "type": ["info"], "action": "attack-found",
            "id": f"{event.id}-{event.start_ns}", "module": "floodmark", "dataset": "floodmark.attack", "provider": "floodmark",
            "start": rfc3339(event.start_ns), "end": rfc3339(event.end_ns), "duration": event.end_ns - event.start_ns,
            "risk_score": round(100 * event.confidence, 1), "risk_score_norm": round(100 * event.confidence, 1),
            "reason": "; ".join(reason.text for reason in event.reasons),
        },
        "rule": {"id": event.vector, "name": title_of(event.vector), "category": str(event.verdict), "ruleset": "floodmark",
                 "version": made_by["version"]},
        "threat": threat,
        "destination": {"address": event.victims[0], **({"ip": event.victims[0]} if "/" not in event.victims[0] else {})},
        "source": {"packets": event.packets, "bytes": event.bytes, **({"ip": event.top_sources[0].address} if event.sources == 1 else {})},
        "network": {"packets": event.packets, "bytes": event.bytes},
        "related": {"ip": _related(event)},
        "observer": {"type": "sensor", "product": made_by["name"], "version": made_by["version"]},
        "tags": ["attack", str(event.verdict)],
        "floodmark": {"event_id": event.id, "vector": event.vector, "verdict": str(event.verdict), "confidence": event.confidence,
                      "peak_pps": event.peak_pps, "peak_bps": event.peak_bps, "sources": event.sources, "spoofed": event.spoofed},
    }  # fmt: skip


def _related(event: Event) -> list[str]:
    hosts = [*(victim for victim in event.victims if "/" not in victim), *(source.address for source in event.top_sources)]
    return list(dict.fromkeys(hosts))[:_MOST_RELATED]


def _connections(batch: pa.RecordBatch) -> pa.Array:
    """Return each flow as a document."""
    seen = {name: batch.column(name) for name in batch.schema.names}
    words = {name: text_of(column) for name, column in seen.items()}
    start, end = (_times(seen[name]) for name in ("first_seen_ns", "last_seen_ns"))
    sums = {what: pc.cast(pc.add(seen[f"initiator_{what}"], seen[f"responder_{what}"]), pa.string()) for what in ("packets", "octets")}
    lasted = pc.cast(pc.subtract(seen["last_seen_ns"], seen["first_seen_ns"]), pa.string())
    version = np.where(pc.match_substring(words["initiator"], ":").to_numpy(zero_copy_only=False), "ipv6", "ipv4")
    names = pa.array([_TRANSPORTS.get(number, PROTOCOLS.get(number)) for number in range(256)], pa.string())
    return joined(
        '{"@timestamp":"', start, f'","ecs":{{"version":"{_VERSION}"}},"event":{{"kind":"event","category":["network"],'
        '"type":["connection","end"],"action":"network_flow","module":"floodmark","dataset":"floodmark.flow","id":"', words["flow_id"],
        '","start":"', start, '","end":"', end, '","duration":', lasted, '},"source":', _side(words, "initiator"),
        ',"destination":', _side(words, "responder"),
        ',"network":{"type":"', pa.array(version), '","iana_number":"', words["protocol"], '"',
        where_known(',"transport":"', names.take(pc.cast(seen["protocol"], pa.int32())), '"'), ',"bytes":', sums["octets"],
        ',"packets":', sums["packets"], where_known(',"vlan":{"id":"', words["vlan"], '"}'), '},"floodmark":{"verdict":"', words["verdict"],
        '","vector":"', words["vector"], '"', where_known(',"event_id":', words["event_id"]),
        where_known(',"confidence":', words["confidence"]),
        where_known(',"asset":"', words["asset"], '"') if "asset" in words else "", "}}",
    )  # fmt: skip


def _side(words: dict[str, pa.Array], end: str) -> pa.Array:
    return joined(
        '{"ip":"', words[end], '"', where_known(',"port":', words[f"{end}_port"]), ',"packets":', words[f"{end}_packets"], ',"bytes":',
        words[f"{end}_octets"], "}",
    )  # fmt: skip


def _times(column: pa.Array) -> pa.Array:
    """Return nanoseconds since the epoch as RFC 3339 text."""
    return joined(pc.replace_substring(pc.cast(pc.cast(column, pa.timestamp("ns")), pa.string()), " ", "T"), "Z")
