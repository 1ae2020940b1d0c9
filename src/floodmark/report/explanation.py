"""Print the reasons for a verdict."""

from rich.console import Console
from rich.text import Text

from floodmark.base.escaping import shown
from floodmark.events.events import Event
from floodmark.report.text import duration, made_of, moment, sentence
from floodmark.result.explaining import SamplePacket, groups_of, nearest_change
from floodmark.result.result import Result
from floodmark.verdicts.weighing import BASE, REPORTED
from floodmark.vocabulary.terms import protocol_name
from floodmark.vocabulary.vectors import RECORDS, title_of


def print_event(console: Console, event: Event, samples: list[SamplePacket]) -> None:
    """Print why an event is reported."""
    entry = RECORDS[event.vector]
    console.print(Text(f"{sentence(event)}.", style="bold"))
    console.print(Text(f"\n{entry.what}"))
    console.print(Text(f"\nWhy {title_of(event.vector)}", style="bold"))
    text = f"Log-odds start at {BASE:+.1f}. Each reason adds its weight (only the strongest in a group counts). "
    console.print(Text(f"{text}Reported if the confidence is at least {REPORTED}."))
    for group in groups_of(event):
        for place, reason in enumerate(group.reasons):
            counted = f"{reason.weight:+.1f}" if place == 0 else "  - "
            text = f"  {counted}  {reason.text} ({reason.rule}: {reason.measured:.6g} against {reason.threshold:.6g})"
            console.print(Text(text, style="" if place == 0 else "dim"))
        without = f"without it: {group.confidence_without:.2f}{f' (below {REPORTED}: not reported)' if group.decides else ''}"
        console.print(Text(f"        {without}", style="dim"))
    console.print(Text(f"  confidence {event.confidence:.2f}"))
    console.print(Text("\nWhat would have changed it", style="bold"))
    console.print(Text(f"  {nearest_change(event)}"))
    console.print(Text("\nWhy no other vector", style="bold"))
    for other in event.considered:
        console.print(Text(f"  {title_of(other.vector)}, {other.confidence:.2f}: {other.why}"))
    console.print(Text(f"  {'' if event.considered else 'No other vector was close. '}Commonly confused with: {entry.confused}"))
    if made := made_of(event.makeup):
        console.print(Text(f"\nCommon to its packets: {made}"))
    for note in event.notes:
        console.print(Text(f"({note})", style="dim"))
    print_packets(console, samples)


_WHY_BENIGN = {
    "ordinary": "no rule assigned it to an attack, and it matches no named pattern of benign traffic",
    "backscatter": "it replies to packets that were forged with the addresses of many hosts here (Moore et al., 2006)",
    "bulk-transfer": "one direction carries much data in full-size packets",
    "measurement": "the same client checks the same service, or pings the same host, at regular intervals",
    "flash-crowd": "it is one of many visits by many clients, each of which requests little",
}


def print_flow(console: Console, result: Result, row: int, samples: list[SamplePacket]) -> None:
    """Print the facts of a flow, and the reasons for its verdict."""
    flow = result.flows.row(row)
    ends = " > ".join(_end(flow[end], flow[f"{end}_port"]) for end in ("initiator", "responder"))
    title = f"Flow {row}: {ends}, {protocol_name(flow['protocol'])}: {flow['verdict']}, {flow['vector']}"
    console.print(Text(title, style="bold"))
    lasted = (flow["last_seen_ns"] - flow["first_seen_ns"]) / 1e9
    console.print(Text(
        f"  {flow['initiator_packets']:,} packets / {flow['initiator_octets']:,} bytes sent, {flow['responder_packets']:,} / "
        f"{flow['responder_octets']:,} received, {duration(lasted)} from {moment(flow['first_seen_ns'])} UTC; payloads: "
        f"{flow['initiator_payload_kind']}, {flow['responder_payload_kind']}"
    ))  # fmt: skip
    if flow["event_id"] is not None:
        console.print(Text(f"  It is part of event {flow['event_id']}, whose reasons follow.\n"))
    else:
        console.print(Text(f"  Benign: {_WHY_BENIGN[flow['vector']]}."))
        for end in ("responder", "initiator"):
            for other in result.flows.judged.considered.get(flow[end], ()):
                console.print(Text(f"  {title_of(other.vector)} on {flow[end]} was considered, {other.confidence:.2f}: {other.why}"))
            for event in result.events:
                if flow[end] in event.victims:
                    text = f"  Event {event.id}, {title_of(event.vector)}, targets {flow[end]}, but this flow does not behave like it."
                    console.print(Text(text))
    print_packets(console, samples)


def _end(address: str, port: int | None) -> str:
    return address if port is None else f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def print_packets(console: Console, samples: list[SamplePacket]) -> None:
    """Print packets, each with the beginning of its payload."""
    if samples:
        console.print(Text("\nFirst packets", style="bold"))
    for packet in samples:
        console.print(Text(f"  {packet.line}"))
        if packet.payload:
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in packet.payload)
            console.print(Text(f"      {packet.payload.hex(' ', -4)}\n      {shown(text)}", style="dim"))
