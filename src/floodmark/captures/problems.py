"""Turn the core's counters of a capture's packets into named problems, so that every loss is reported."""

from dataclasses import dataclass

from floodmark.captures.reading import ReadCapture
from floodmark.vocabulary.terms import ethertype_name
from floodmark_core import status

OUTCOME_NAMES = {
    status.IN_FLOW_HEADER_CUT: "transport_header_cut",
    status.LINK_TYPE_UNKNOWN: "link_type_unknown",
    status.LINK_HEADER_CUT: "link_header_cut",
    status.IP_HEADER_CUT: "ip_header_cut",
    status.IP_VERSION_BAD: "ip_version_bad",
    status.IP_HEADER_LENGTH_BAD: "ip_header_length_bad",
    status.IP_LENGTH_BAD: "ip_extension_header_bad",
    status.INTERFACE_UNKNOWN: "interface_unknown",
}
REMARK_NAMES = {
    status.REMARK_TIME_BACKWARD: "time_out_of_order",
    status.REMARK_TIME_JUMP_BACK: "time_jump_back",
    status.REMARK_TIME_JUMP_AHEAD: "time_jump_ahead",
    status.REMARK_TIME_UNUSABLE: "time_unusable",
    status.REMARK_FRACTION_BAD: "time_fraction_bad",
    status.REMARK_BEYOND_SNAPLEN: "record_beyond_snaplen",
    status.REMARK_CAPTURED_BEYOND_WIRE: "captured_beyond_wire_length",
    status.REMARK_IP_LENGTH_BEYOND_FRAME: "ip_length_beyond_frame",
    status.REMARK_SNAPLEN_CUT: "snaplen_cut",
    status.REMARK_TRANSPORT_HEADER_BAD: "transport_header_bad",
}


@dataclass(frozen=True)
class Problem:
    """A problem found in a capture, how often, and where first."""

    kind: str
    count: int
    first_offset: int | None  # byte offset in the file of the record, or of its frame if that is at fault


@dataclass(frozen=True)
class PacketCounts:
    """The packets of one or more captures by outcome: the three sum to the packets read."""

    in_flows: int
    not_ip: dict[str, int]  # by EtherType name
    refused: dict[str, int]  # by reason


def problems_of(read: ReadCapture) -> list[Problem]:
    """List the errors and anomalies in a capture, refused packets first."""
    tally = read.tally
    found = []
    for code, name in OUTCOME_NAMES.items():
        if tally.outcome_count[code]:
            found.append(Problem(name, int(tally.outcome_count[code]), int(tally.outcome_first[code])))
    for code, name in REMARK_NAMES.items():
        if tally.remark_count[code]:
            found.append(Problem(name, int(tally.remark_count[code]), int(tally.remark_first[code])))
    if tally.dropped[0]:
        found.append(Problem("dropped_by_capture", int(tally.dropped[0]), None))
    if read.truncated_at is not None:
        found.append(Problem("record_truncated", 1, read.truncated_at))
    if read.unpacking_ended is not None:
        found.append(Problem("compressed_stream_broken", 1, read.nbytes))
    if read.change is not None:
        found.append(Problem("capture_changed", 1, read.nbytes))
    if read.damaged_at is not None:
        found.append(Problem("record_damaged", read.damages, read.damaged_at))
        found.append(Problem("octets_unread", read.unread_bytes, read.damaged_at))
    return found


def packet_counts(reads: list[ReadCapture]) -> PacketCounts:
    """Sum up the outcomes of packets over captures."""
    in_flows = 0
    not_ip: dict[str, int] = {}
    refused: dict[str, int] = {}
    for read in reads:
        tally = read.tally
        in_flows += int(tally.outcome_count[status.IN_FLOW] + tally.outcome_count[status.IN_FLOW_HEADER_CUT])
        for code, count in read.ethertypes.items():
            name = ethertype_name(code)
            not_ip[name] = not_ip.get(name, 0) + count
        for code in range(status.FIRST_REFUSED, status.OUTCOMES):
            if tally.outcome_count[code]:
                name = OUTCOME_NAMES[code]
                refused[name] = refused.get(name, 0) + int(tally.outcome_count[code])
    return PacketCounts(in_flows, dict(sorted(not_ip.items())), dict(sorted(refused.items())))
