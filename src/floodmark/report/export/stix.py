"""Write events as a STIX 2.1 bundle: observed data, a pattern to recognise it, its ATT&CK technique, and a report that links them.

Ids are derived from the content, so that the same result gives the same bundle. Victims are left out unless requested: a bundle is made to
be shared.
"""

import hashlib
import uuid
from datetime import UTC, datetime
from textwrap import indent
from typing import Any

from stix2 import v21

from floodmark.base.writing import packed
from floodmark.claims.assets import NO_ASSETS, AssetsOfEvents
from floodmark.events.events import Event
from floodmark.result.result import Result, tool
from floodmark.vocabulary.vectors import RECORDS, title_of

# Author of the techniques, under MITRE's own id. MITRE's own objects are not overwritten: those here, of 1970, are older than any version.
_MITRE = "identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5"
_MOST_OBSERVED = 999_999_999  # STIX 2.1 section 4.14, number_observed


def write_stix(path: str, result: Result, *, victims: bool = False, assets: AssetsOfEvents = NO_ASSETS) -> None:
    """Write the events as one bundle. assets: of events, as labels of their reports. Raises OutputError."""
    text = text_of(bundle_of(result, victims=victims, assets=assets))
    with packed(path) as file:
        file.write(text.encode() + b"\n")


def text_of(bundle: v21.Bundle) -> str:
    """Return a bundle as its own method writes it, which looks for each property in the whole bundle and takes minutes for 50 events."""
    objects = ",\n".join(indent(each.serialize(pretty=True), 8 * " ") for each in bundle.objects)
    return f'{{\n    "type": "bundle",\n    "id": "{bundle.id}",\n    "objects": [\n{objects}\n    ]\n}}'


def bundle_of(result: Result, *, victims: bool = False, assets: AssetsOfEvents = NO_ASSETS) -> v21.Bundle:
    """Return the events as a bundle. victims: name the victims. assets: as for :func:`write_stix`."""
    made_by = tool()
    first = min((event.start_ns for event in result.events), default=0)
    when = _moment(first)
    me = v21.Identity(
        id=_id("identity", made_by["name"]), name=made_by["name"], identity_class="system", created=when, modified=when,
        description=f"floodmark {made_by['version']}",
    )  # fmt: skip
    objects: dict[str, Any] = {me.id: me}
    for event in result.events:
        for each in _objects(event, me.id, assets.get(event.id, ()), victims=victims):
            objects[each.id] = each
    return v21.Bundle(*objects.values(), id=_id("bundle", ",".join(objects)), allow_custom=False)


def _objects(event: Event, author: str, assets: tuple[str, ...], *, victims: bool) -> list[Any]:
    """Return the objects of one event, the report that refers to them last."""
    start, end = _moment(event.start_ns), _moment(max(event.end_ns, event.start_ns + 1_000_000))
    key = f"{event.vector}|{event.start_ns}|{event.victims[0]}|{event.packets}"
    common = {"created_by_ref": author, "created": end, "modified": end}
    seen = _observed(event, start, end, victims=victims)
    vector = RECORDS[event.vector]
    technique = vector.technique
    pattern = v21.AttackPattern(
        id=technique.stix_id, name=technique.name, description=f"MITRE ATT&CK {technique.id}",
        kill_chain_phases=[{"kill_chain_name": "mitre-attack", "phase_name": technique.tactic}],
        external_references=[
            {"source_name": "mitre-attack", "external_id": technique.id, "description": technique.url},
            {"source_name": "capec", "external_id": vector.capec},
        ],
        created_by_ref=_MITRE, created=_moment(0), modified=_moment(0),
    )  # fmt: skip
    data = v21.ObservedData(
        id=_id("observed-data", key), first_observed=start, last_observed=end, number_observed=min(max(event.packets, 1), _MOST_OBSERVED),
        object_refs=[each.id for each in seen], **common,
    )  # fmt: skip
    indicator = v21.Indicator(
        id=_id("indicator", key), name=f"{title_of(event.vector)}", description="; ".join(reason.text for reason in event.reasons),
        indicator_types=["malicious-activity"], pattern_type="stix", pattern=_pattern(event, victims=victims), valid_from=start,
        confidence=round(100 * event.confidence), **common,
    )  # fmt: skip
    indicates = v21.Relationship(
        id=_id("relationship", key), relationship_type="indicates", source_ref=indicator.id, target_ref=pattern.id, **common
    )
    sighting = v21.Sighting(
        id=_id("sighting", key), sighting_of_ref=indicator.id, observed_data_refs=[data.id], where_sighted_refs=[author], first_seen=start,
        last_seen=end, count=1, **common,
    )  # fmt: skip
    mitre = v21.Identity(id=_MITRE, name="The MITRE Corporation", identity_class="organization", created=_moment(0), modified=_moment(0))
    whole = [mitre, *seen, pattern, data, indicator, indicates, sighting]
    target = f" on {event.victims[0]}" if victims else ""
    report = v21.Report(
        id=_id("report", key), name=f"{title_of(event.vector)}{target}", report_types=["attack-pattern", "observed-data"], published=end,
        description=f"{event.packets:,} packets from {event.sources:,} sources, at most {event.peak_pps:,.0f} a second",
        labels=[event.vector, str(event.verdict), *(f"asset:{name}" for name in assets)], confidence=round(100 * event.confidence),
        object_refs=[each.id for each in whole], **common,
    )  # fmt: skip
    return [*whole, report]


def _observed(event: Event, start: datetime, end: datetime, *, victims: bool) -> list[Any]:
    """Return the addresses and the traffic of an event: one each per top source."""
    named = victims and "/" not in event.victims[0]
    hit = _address(event.victims[0]) if named else None
    objects: list[Any] = [hit] if hit is not None else []
    source_port, port = (_only_port(shares) for shares in (event.makeup.source_ports, event.makeup.ports))
    for source in event.top_sources:
        sender = _address(source.address)
        family = "ipv6" if ":" in source.address else "ipv4"
        traffic = v21.NetworkTraffic(
            start=start, end=end, is_active=False, src_ref=sender.id, src_packets=source.packets, protocols=_protocols(event, family),
            **({"dst_ref": hit.id} if hit is not None else {}), **({"src_port": source_port} if source_port else {}),
            **({"dst_port": port} if port else {}),
        )  # fmt: skip
        objects += [sender, traffic]
    return objects


def _address(text: str) -> Any:  # noqa: ANN401 - one of two classes of a library without types
    return v21.IPv6Address(value=text) if ":" in text else v21.IPv4Address(value=text)


def _protocols(event: Event, family: str) -> list[str]:
    named = [share.value.partition("/")[2] for share in event.makeup.ports[:1]]
    return [family, *(named or [RECORDS[event.vector].protocol])]


def _only_port(shares: tuple[Any, ...]) -> int | None:
    """Return the port that nearly all packets have."""
    return int(shares[0].value.partition("/")[0]) if shares and shares[0].share >= 0.9 else None


def _pattern(event: Event, *, victims: bool) -> str:
    """Return the traffic as a STIX pattern: by protocol and ports, and by addresses where those are meaningful."""
    terms = [f"network-traffic:protocols[*] = '{_protocols(event, 'ipv4')[-1]}'"]
    for name, shares in (("src_port", event.makeup.source_ports), ("dst_port", event.makeup.ports)):
        port = _only_port(shares)
        terms += [f"network-traffic:{name} = {port}"] if port else []
    if victims:
        where = "ISSUBSET" if "/" in event.victims[0] else "="
        terms.append(f"network-traffic:dst_ref.value {where} '{event.victims[0]}'")
    if event.sources <= len(event.top_sources) and (event.spoofed or 0) < 0.5:
        listed = ", ".join(f"'{source.address}'" for source in event.top_sources)
        terms.append(f"network-traffic:src_ref.value IN ({listed})")
    return f"[{' AND '.join(terms)}]"


def _id(kind: str, key: str) -> str:
    digest = hashlib.sha256(f"{kind}|{key}".encode()).digest()
    return f"{kind}--{uuid.UUID(bytes=digest[:16], version=4)}"


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // 1_000_000 / 1000, UTC)
