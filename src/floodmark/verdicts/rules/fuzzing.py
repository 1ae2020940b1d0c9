"""Fuzzing: one source that sends a service another malformed message in each of many connections."""

import numpy as np

from floodmark.flows.flowset import FlowSet, distinct
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import duration_s, pairs, service_host, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding
from floodmark_core import kinds
from floodmark_core.flows import payload

# What clients of a port begin with.
_SPOKEN = {
    22: (payload.SSH,), 80: (payload.HTTP, payload.HTTP2), 8000: (payload.HTTP, payload.HTTP2), 8080: (payload.HTTP, payload.HTTP2),
    443: (payload.TLS,), 8443: (payload.TLS,), 1883: (payload.MQTT,), 3389: (payload.RDP, payload.TLS),
    102: (payload.RDP, payload.S7), 502: (payload.MODBUS,), 2404: (payload.IEC104,), 20_000: (payload.DNP3,), 44_818: (payload.ENIP,),
    4840: (payload.OPCUA,),
}  # fmt: skip
_MALFORMED_SHARE = 0.5
_DIFFERENT_SHARE = 0.6


def fuzzing(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find fuzzing of services whose clients' first words are known."""
    rows = context.established[np.isin(context.spoken.port, [*_SPOKEN, *payload.COMMANDS])]
    if len(rows):
        seen = context.flows.columns(rows, ("initiator_payload_octets", "stage"))
        rows = rows[(seen["initiator_payload_octets"] > 0) & (seen["stage"] & kinds.STAGE_SYN > 0)]
    judged = (_fuzzing(flows, settings) for flows in pairs(context, settings.fuzzing_connections, rows))
    return [finding for finding in judged if finding is not None]


def _fuzzing(flows: FlowSet, settings: ApplicationSettings) -> Finding | None:
    """Judge the connections of one client to one service."""
    port = int(flows.column("responder_port")[0])
    proper = np.isin(flows.column("initiator_payload_kind") // 2, _SPOKEN.get(port, ()))
    if port in payload.COMMANDS:
        first = (flows.column("initiator_prefix") >> np.uint64(32)) & np.uint64(0xDFDFDFDF)
        proper = np.isin(first, [int.from_bytes(command, "big") for command in payload.COMMANDS[port]])
    over = flows.column("stage") & (kinds.STAGE_CLOSED | kinds.STAGE_FIN_RESPONDER) > 0
    cut_off = (flows.column("responder_payload_octets") == 0) & over  # begins like the protocol and is not worth an answer
    malformed = flows.where((~proper | cut_off) & (duration_s(flows) <= 30))
    share = len(malformed) / len(flows)
    if len(malformed) < settings.fuzzing_connections or share < _MALFORMED_SHARE:
        return None
    words = malformed.column("initiator_prefix") ^ (malformed.column("initiator_payload_octets") << np.uint64(48))
    different = distinct(words) / len(malformed)
    if different < _DIFFERENT_SHARE:
        return None
    evidence = Evidence()
    text = f"{share:.0%} of {len(flows):,} connections to port {port} begin with what is not said there, or is not worth an answer"
    evidence.add("content", CLEAR, "R_MALFORMED", share, _MALFORMED_SHARE, text)
    evidence.add("diversity", CLEAR, "R_NEVER_THE_SAME", different, _DIFFERENT_SHARE, f"{different:.0%} of these begin differently")
    varies = variation(malformed.column("initiator_payload_octets").astype(float))
    if varies >= settings.guessing_variation:
        evidence.add("size", SLIGHT, "R_SIZES_VARY", varies, settings.guessing_variation, f"their sizes vary by {varies:.0%}")
    closed = float((malformed.column("stage") & (kinds.STAGE_CLOSED | kinds.STAGE_FIN_RESPONDER) > 0).mean())
    if closed >= 0.5:
        evidence.add("refusal", FAIR, "R_CUT_OFF", closed, 0.5, f"{closed:.0%} of them are cut off or closed")
    return Finding("protocol-fuzzing", [service_host(flows)], malformed, evidence, [port])
