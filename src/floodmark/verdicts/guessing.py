"""Guessing at log-ins, by the shape of the connections: many, short, alike."""

import numpy as np

from floodmark.context import Context
from floodmark.flowset import FlowSet, number, split
from floodmark.services import LOGIN_PORTS
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import duration_s, number_services, service_host, variation
from floodmark.verdicts.evidence import CLEAR, FAIR, SLIGHT, Evidence, Finding
from floodmark_core import kinds


def guessing(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find repeated log-ins by the shape of the connections: many, short, alike, from one source to one log-in service."""
    rows, flows = context.established, context.flows
    rows = rows[np.isin(flows.column("responder_port", rows), list(LOGIN_PORTS))]
    if not len(rows):
        return []
    hosts, _ = number_services(context, rows)
    seen = flows.columns(rows, ("initiator_hi", "initiator_lo"))
    groups, leaders = number(seen["initiator_hi"], seen["initiator_lo"], hosts.astype(np.uint64))
    starts, order = split(groups, len(leaders))
    found = []
    for group in np.nonzero(np.diff(starts) >= settings.guessing_connections)[0]:
        finding = _guessing(context.clients(rows[order[starts[group] : starts[group + 1]]]), settings)
        if finding is not None:
            found.append(finding)
    return found


def _guessing(flows: FlowSet, settings: ApplicationSettings) -> Finding | None:
    port = int(flows.column("responder_port")[0])
    service = LOGIN_PORTS[port]
    up, down = flows.column("initiator_payload_octets").astype(float), flows.column("responder_payload_octets").astype(float)
    closed = np.isin(flows.column("end_reason"), (kinds.END_FIN, kinds.END_RST, kinds.END_REUSE))
    tries = flows.where((up > 0) & (down > 0) & (up <= 8192) & (down <= 16_384) & (duration_s(flows) <= 30) & closed)
    if len(tries) < settings.guessing_connections:
        return None
    begins = np.sort(tries.column("first_seen_ns"))
    until = np.searchsorted(begins, begins + int(settings.guessing_window_s * 1e9), side="right")
    in_window = int((until - np.arange(len(begins))).max())
    if in_window < settings.guessing_connections:
        return None
    up, down = tries.column("initiator_payload_octets").astype(float), tries.column("responder_payload_octets").astype(float)
    varies = max(variation(up), variation(down))
    if varies > settings.guessing_variation:
        return None
    evidence = Evidence()
    evidence.add(
        "repetition", CLEAR if len(tries) >= 3 * settings.guessing_connections else FAIR, "R_REPEATED_LOGINS", in_window,
        settings.guessing_connections, f"{len(tries):,} connections to a log-in service, {in_window:,.0f} in the busiest minute",
    )  # fmt: skip
    evidence.add(
        "uniformity",
        FAIR,
        "R_ALIKE",
        varies,
        settings.guessing_variation,
        f"their sizes vary by {varies:.0%}: the same dialogue each time",
    )
    share = len(tries) / len(flows)
    if share >= 0.9:
        evidence.add("share", SLIGHT, "R_NEVER_STAYS", share, 0.9, f"{share:.0%} of the source's connections end like this; none stays")
    if service == "mqtt":
        refused = float(((tries.column("responder_prefix") >> np.uint64(32)) & np.uint64(0xFFFF00FF) > np.uint64(0x20020000)).mean())
        if refused < 0.5:
            return None
        evidence.add("refusal", CLEAR, "R_REFUSED", refused, 0.5, f"the broker refused {refused:.0%} of them")
    elif service != "database":
        evidence.add("service", FAIR, "R_LOGIN_PORT", port, 1, f"port {port} is a {service} log-in")
    return Finding(f"{service}-bruteforce", [service_host(flows)], tries, evidence, [port])
