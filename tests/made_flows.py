"""Flows written row by row, as the core leaves them, and what rules see of them: a rule is tested where it turns, without a capture.

Addresses are integers of IPv4. What a test does not say is an ordinary SYN that became nothing.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from floodmark.captures.settings import FlowSettings
from floodmark.flows.arrivals import Arrivals
from floodmark.flows.flows import Flows
from floodmark.flows.metering import timeouts_ns
from floodmark.verdicts.context import Context, context_of
from floodmark.verdicts.declaring import Case
from floodmark.verdicts.registry import JUDGES, ApplicationSettings, VolumetricSettings
from floodmark.verdicts.weighing import Finding
from floodmark_core import ADDRESSES, DESTINATION, FLOW, MORE, TENTH, kinds
from floodmark_core.columns import FlowRows
from floodmark_core.flows.arrivals import COUNT_BITS, TENTH_NS
from floodmark_core.protocols import ICMP, SECOND_NS, TCP, UDP

VICTIM = 0xCB007101  # 203.0.113.1
START_NS = 1_700_000_000 * SECOND_NS
_KINDS = {TCP: kinds.TCP_SYN, UDP: kinds.UDP, ICMP: kinds.ICMP_ECHO}


@dataclass
class MadeFlows:
    """Flows in order of their first packets."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, at_ns: int, source: int, victim: int = VICTIM, *, ports: tuple[int, int] = (40_000, 80), packets: int = 1, **fields: Any
    ) -> None:
        """Add a flow from a source to a victim. fields: of FLOW and MORE rows by their names; ``back``: packets of the victim."""
        self.rows.append({"at_ns": at_ns, "source": source, "victim": victim, "ports": ports, "packets": packets, **fields})

    def syns(self, count: int, *, spacing_ns: int = 1_000_000, sources: int | None = None, first: int = 0, **fields: Any) -> "MadeFlows":
        """Add SYNs at even distances, from as many sources unless fewer are asked for; a field may be a function of the number."""
        for number in range(first, first + count):
            source = 0x0A000001 + number % (sources or count + first)
            values = {name: value(number) if callable(value) else value for name, value in fields.items()}
            self.add(START_NS + number * spacing_ns, source, ports=values.pop("ports", (1024 + number % 60_000, 80)), **values)
        return self

    def _tables(self) -> FlowRows:
        count = len(self.rows)
        rows, more = np.zeros(count, FLOW), np.zeros(count, MORE)
        for number, made in enumerate(sorted(self.rows, key=lambda made: int(made["at_ns"]))):
            row, details, given = rows[number], more[number], dict(made)
            at_ns, protocol = given.pop("at_ns"), given.pop("protocol", TCP)
            row["initiator"], row["responder"] = given.pop("source"), given.pop("victim")
            row["initiator_port"], row["responder_port"] = given.pop("ports")
            row["first_seen_ns"] = row["start_clock_ns"] = at_ns
            row["more_row"], row["protocol"], row["ttl"], row["octets"] = number + 1, protocol, given.pop("ttl", 64), 60
            row["origin"] = kinds.BASIS_SYN | kinds.ORIGIN_HEADER_WHOLE
            if protocol == TCP:
                row["flags"] = details["tcp_flags_initiator"] = given.pop("flags", kinds.SYN)
                details["stage"] = kinds.STAGE_SYN if row["flags"] == kinds.SYN else 0
                details["tcp_options"] = 0x1234
            details["initiator_packets"], details["responder_packets"] = given.pop("packets"), given.pop("back", 0)
            details["initiator_octets"] = 60 * details["initiator_packets"]
            details["last_seen_ns"] = details["last_clock_ns"] = at_ns + given.pop("lasts_ns", 0)
            details["parent"] = -1
            for name, value in given.items():
                (row if name in FLOW.names else details)[name] = value
        return FlowRows(rows, more, np.zeros(0, ADDRESSES), np.arange(count, dtype=np.uint32))

    def _arrivals(self, tables: FlowRows) -> Arrivals:
        """Return what arrived at the victims and at whoever was sent an answer: where hosts are found."""
        totals: dict[tuple[int, int], Counter[int]] = {}
        for row, details in zip(tables.rows, tables.more, strict=True):
            kind = _KINDS.get(int(row["protocol"]), kinds.OTHER_IP)
            for end, packets in ((row["responder"], details["initiator_packets"]), (row["initiator"], details["responder_packets"])):
                if packets:
                    totals.setdefault((int(end), kind), Counter())[int(row["first_seen_ns"]) // TENTH_NS] += int(packets)
        rows, log = np.zeros(len(totals), DESTINATION), []
        for number, ((lo, kind), tenths) in enumerate(totals.items()):
            row = rows[number]
            row["lo"], row["kind"], row["ip_version"], row["birth"], row["packets"] = lo, kind, 4, number, tenths.total()
            log += [((tenth << COUNT_BITS) | packets, number, 60 * packets) for tenth, packets in tenths.items()]
        bounds_ns = int(tables.rows["first_seen_ns"].min()), int(tables.more["last_seen_ns"].max())
        return Arrivals(rows, np.array(log, TENTH), bounds_ns)

    def context(self) -> Context:
        """Return the flows in their surroundings."""
        tables = self._tables()
        last_ns = int(tables.more["last_clock_ns"].max())
        return context_of(Flows(tables, last_ns, timeouts_ns(FlowSettings())), self._arrivals(tables))

    def judged(self, judge: str, **settings: float) -> list[Finding]:
        """Return what one way of judging finds. settings: thresholds that are not the default."""
        context, tables = self.context(), []
        for table in (VolumetricSettings, ApplicationSettings):
            names = {name: value for name, value in settings.items() if name in table.__dataclass_fields__}
            tables.append(table(**names))
        [one] = [each for each in JUDGES if each.name == judge]
        return one.find(Case(context, tables[0], tables[1], np.zeros(len(context.flows), bool)))


def fired(findings: list[Finding]) -> set[str]:
    """Return the ids of all rules that fired."""
    return {reason.rule for finding in findings for reason in finding.evidence.reasons}


def measured(findings: list[Finding], rule: str) -> float:
    """Return what a rule measured in the only finding."""
    [finding] = findings
    [reason] = [reason for reason in finding.evidence.reasons if reason.rule == rule]
    return reason.measured
