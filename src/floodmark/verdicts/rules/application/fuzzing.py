"""Fuzzing: one source that sends a different malformed message to a service in each of many connections."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet, distinct
from floodmark.verdicts.clients import duration_s, pairs, service_host, variation
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding, Rule
from floodmark_core import kinds
from floodmark_core.flows import payload

# Protocols of a port that a client's first payload may be.
_SPOKEN = {
    22: (payload.SSH,), 80: (payload.HTTP, payload.HTTP2), 8000: (payload.HTTP, payload.HTTP2), 8080: (payload.HTTP, payload.HTTP2),
    443: (payload.TLS,), 8443: (payload.TLS,), 1883: (payload.MQTT,), 3389: (payload.RDP, payload.TLS),
    102: (payload.RDP, payload.S7), 502: (payload.MODBUS,), 2404: (payload.IEC104,), 20_000: (payload.DNP3,), 44_818: (payload.ENIP,),
    4840: (payload.OPCUA,),
}  # fmt: skip


@declares
class FuzzingThresholds(Checked):
    """Thresholds for fuzzing."""

    fuzzing_connections: int = threshold(50, "fewest malformed connections of one client to one service")
    fuzzing_duration_s: float = threshold(30.0, "of a malformed connection, at most")
    fuzzing_malformed_share: float = threshold(0.5, "of one client's connections to the service that are malformed")
    fuzzing_different_share: float = threshold(0.6, "different beginnings for each malformed connection")
    fuzzing_size_variation: float = threshold(0.3, "of the client's bytes in each malformed connection, at least")
    fuzzing_closed_share: float = threshold(0.5, "of the malformed connections that were closed or reset")


MALFORMED = Rule(
    "R_MALFORMED", "content",
    "share of connections that begin with what the port's protocol does not allow, or are closed without an answer",
    "{measured:.0%} of {connections:,} connections to port {port} break the protocol from the start, or are closed without an answer",
    "Real clients speak the protocol of the port; a fuzzer breaks it on purpose.", "fuzzing_malformed_share",
)  # fmt: skip
NEVER_THE_SAME = Rule(
    "R_NEVER_THE_SAME", "diversity", "different beginnings (first 8 bytes and size) for each malformed connection",
    "{measured:.0%} of these connections begin differently from the others",
    "A broken client repeats its mistake; a fuzzer tries another message each time.", "fuzzing_different_share",
)  # fmt: skip
SIZES_VARY = Rule(
    "R_SIZES_VARY", "size", "coefficient of variation of the client's bytes in each malformed connection",
    "the sizes of these messages vary by {measured:.0%}",
    "A fuzzer varies the length of its messages; a client that repeats one does not.", "fuzzing_size_variation",
)  # fmt: skip
CUT_OFF = Rule(
    "R_CUT_OFF", "refusal", "share of malformed connections that were closed or reset",
    "{measured:.0%} of these connections were closed or reset",
    "A server hangs up on clients that break its protocol.", "fuzzing_closed_share",
)  # fmt: skip


def fuzzing(case: Case[Any, FuzzingThresholds]) -> list[Finding]:
    """Find fuzzing of services whose clients' first messages are known."""
    context, settings = case.context, case.application
    rows = context.shapes.established[np.isin(context.shapes.spoken.port, [*_SPOKEN, *payload.COMMANDS])]
    if len(rows):
        seen = context.flows.columns(rows, ("initiator_payload_octets", "stage"))
        rows = rows[(seen["initiator_payload_octets"] > 0) & (seen["stage"] & kinds.STAGE_SYN > 0)]
    judged = (_fuzzing(flows, settings) for flows in pairs(context, settings.fuzzing_connections, rows))
    return [finding for finding in judged if finding is not None]


def _fuzzing(flows: FlowSet, settings: FuzzingThresholds) -> Finding | None:
    """Judge the connections of one client to one service."""
    port = int(flows.column("responder_port")[0])
    proper = np.isin(flows.column("initiator_payload_kind") // 2, _SPOKEN.get(port, ()))
    if port in payload.COMMANDS:
        first = (flows.column("initiator_prefix") >> np.uint64(32)) & np.uint64(0xDFDFDFDF)
        proper = np.isin(first, [int.from_bytes(command, "big") for command in payload.COMMANDS[port]])
    over = flows.column("stage") & (kinds.STAGE_CLOSED | kinds.STAGE_FIN_RESPONDER) > 0
    cut_off = (flows.column("responder_payload_octets") == 0) & over  # closed without a reply, even if it begins like the protocol
    malformed = flows.where((~proper | cut_off) & (duration_s(flows) <= settings.fuzzing_duration_s))
    share = len(malformed) / len(flows)
    if len(malformed) < settings.fuzzing_connections or share < settings.fuzzing_malformed_share:
        return None
    words = malformed.column("initiator_prefix") ^ (malformed.column("initiator_payload_octets") << np.uint64(48))
    different = distinct(words) / len(malformed)
    if different < settings.fuzzing_different_share:
        return None
    evidence = Evidence()
    evidence.add(MALFORMED, CLEAR, share, settings.fuzzing_malformed_share, connections=len(flows), port=port)
    evidence.add(NEVER_THE_SAME, CLEAR, different, settings.fuzzing_different_share)
    varies = variation(malformed.column("initiator_payload_octets").astype(float))
    if varies >= settings.fuzzing_size_variation:
        evidence.add(SIZES_VARY, SLIGHT, varies, settings.fuzzing_size_variation)
    closed = float((malformed.column("stage") & (kinds.STAGE_CLOSED | kinds.STAGE_FIN_RESPONDER) > 0).mean())
    if closed >= settings.fuzzing_closed_share:
        evidence.add(CUT_OFF, FAIR, closed, settings.fuzzing_closed_share)
    return Finding("protocol-fuzzing", [service_host(flows)], malformed, evidence, [port])


FAMILY = Family(
    "fuzzing",
    "application",
    FuzzingThresholds,
    (
        Judge(
            "fuzzing",
            fuzzing,
            ("protocol-fuzzing",),
            (MALFORMED, NEVER_THE_SAME, SIZES_VARY, CUT_OFF),
            after=("slow-connections",),
        ),
    ),
)
