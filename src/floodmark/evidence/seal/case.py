"""Describe a bundle's contents and origin in the vocabulary of CASE and UCO, as JSON-LD.

The ontologies are those of ontology.caseontology.org; documents were checked with its versions 1.4 and 1.5. Each original is a provenance
record around a file with its hash; processing steps are investigative actions with the program as their instrument; each event's carved
records are a file derived from an original. Ids are derived from the content.
"""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

from floodmark.events.events import Event
from floodmark.result.result import tool
from floodmark.vocabulary.vectors import title_of

_CONTEXT = {
    "kb": "urn:floodmark:",
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "uco-identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
    "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def case_document(
    found: Sequence[Event], originals: list[dict[str, Any]], carved: list[dict[str, Any]], made_at: str, by: str
) -> dict[str, Any]:
    """Return the graph.

    found: the events. originals: of the manifest. carved: path, octets, sha256, event and original's number of each carved file.
    """
    me, who = _tool(), _identity(by)
    files = {original["number"]: _file("original", original["name"], original["octets"], original["sha256"]) for original in originals}
    parts = [_file("carved", each["path"], each["octets"], each["sha256"]) for each in carved]
    done = {
        "uco-action:endTime": _typed("xsd:dateTime", made_at),
        "uco-action:performer": _reference(who),
        "uco-action:instrument": [_reference(me)],
        "uco-action:object": [_reference(file) for file in files.values()],
    }
    classified = _action("Classified the flows of the captures", done)
    copied = _action("Copied the packets of each event out of the captures", done | _results(parts))
    records = [
        _node("ProvenanceRecord", "case-investigation:ProvenanceRecord", original["sha256"])
        | {
            "uco-core:description": f"capture {original['number']}: {original['packets']:,} packets",
            "case-investigation:exhibitNumber": f"capture-{original['number']:04d}",
            "uco-core:object": [_reference(files[original["number"]])],
        }
        for original in originals
    ]
    derived = [_derived(part, files[each["original"]]) for part, each in zip(parts, carved, strict=True)]
    whole = [me, who, *files.values(), *parts, classified, copied, *records, *derived]
    investigation = _node("Investigation", "case-investigation:Investigation", ",".join(original["sha256"] for original in originals)) | {
        "uco-core:name": "Packet captures examined for attacks",
        "uco-core:description": "; ".join(
            f"event {event.id}: {title_of(event.vector)}, {event.packets:,} packets" for event in found
        ) or "no attack found",
        "uco-core:object": [_reference(node) for node in whole],
    }  # fmt: skip
    return {"@context": _CONTEXT, "@graph": [investigation, *whole]}


def _node(name: str, kind: str, key: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{kind}|{key}".encode()).digest()
    return {"@id": f"kb:{name}-{uuid.UUID(bytes=digest[:16], version=4)}", "@type": kind}


def _reference(node: dict[str, Any]) -> dict[str, str]:
    return {"@id": node["@id"]}


def _tool() -> dict[str, Any]:
    made_by = tool()
    about = {"uco-core:name": made_by["name"], "uco-tool:version": made_by["version"], "uco-tool:toolType": "packet capture classifier"}
    return _node("Tool", "uco-tool:Tool", str(made_by)) | about


def _identity(by: str) -> dict[str, Any]:
    return _node("Identity", "uco-identity:Identity", by) | {"uco-core:name": by}


def _typed(kind: str, value: str) -> dict[str, str]:
    return {"@type": kind, "@value": value}


def _file(role: str, name: str, nbytes: int, sha256: str) -> dict[str, Any]:
    key = f"{role}|{name}|{sha256}"
    digest = _node("Hash", "uco-types:Hash", key) | {
        "uco-types:hashMethod": "SHA256",
        "uco-types:hashValue": _typed("xsd:hexBinary", sha256.upper()),
    }
    facets = [
        _node("FileFacet", "uco-observable:FileFacet", key) | {"uco-observable:fileName": name, "uco-observable:sizeInBytes": nbytes},
        _node("ContentDataFacet", "uco-observable:ContentDataFacet", key)
        | {"uco-observable:sizeInBytes": nbytes, "uco-observable:hash": [digest]},
    ]
    return _node("File", "uco-observable:File", key) | {"uco-core:hasFacet": facets}


def _action(name: str, about: dict[str, Any]) -> dict[str, Any]:
    return _node("InvestigativeAction", "case-investigation:InvestigativeAction", f"{name}|{about}") | {"uco-core:name": name} | about


def _results(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"uco-action:result": [_reference(part) for part in parts]} if parts else {}


def _derived(part: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    return _node("Relationship", "uco-observable:ObservableRelationship", f"{part['@id']}|{original['@id']}") | {
        "uco-core:source": _reference(part),
        "uco-core:target": _reference(original),
        "uco-core:kindOfRelationship": "Contained_Within",
        "uco-core:isDirectional": True,
    }
