"""Guessing at log-ins, by the shape of the connections: many, short, alike."""

import numpy as np

from floodmark.flows.flowset import FlowSet, split
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import (
    begins_with,
    duration_s,
    most_within,
    pairs,
    service_host,
    services,
    variation,
)
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding
from floodmark.vocabulary.services import LOGIN_PORTS
from floodmark_core import kinds

_SEVERAL_SOURCES = 5
_ALIKE_SHARE, _NEAR_THE_MEDIAN = 0.8, 0.5  # of the connections; of the median octets
_REFUSAL_OCTETS = 600  # of a greeting and a refusal
_POSTED_SHARE = 0.9  # of the requests: for one path, by one method


def guessing(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find repeated log-ins by the shape of the connections: many, short, alike, from one source to one log-in service."""
    rows = context.established[np.isin(context.spoken.port, list(LOGIN_PORTS))]
    judged = (_guessing(flows, settings) for flows in pairs(context, settings.guessing_connections, rows))
    return [finding for finding in judged if finding is not None]


def _brief(flows: FlowSet) -> FlowSet:
    """Return the connections that are short enough for a log-in that failed, and over."""
    up, down = flows.column("initiator_payload_octets").astype(float), flows.column("responder_payload_octets").astype(float)
    closed = np.isin(flows.column("end_reason"), (kinds.END_FIN, kinds.END_RST, kinds.END_REUSE))
    return flows.where((up > 0) & (down > 0) & (up <= 8192) & (down <= 16_384) & (duration_s(flows) <= 30) & closed)


def _alike(flows: FlowSet) -> FlowSet:
    """Return the connections that are about as long as the median one, both ways: a guess that succeeds is longer."""
    kept = np.ones(len(flows), bool)
    for end in ("initiator", "responder"):
        octets = flows.column(f"{end}_payload_octets").astype(float)
        kept &= np.abs(octets - np.median(octets)) <= _NEAR_THE_MEDIAN * np.median(octets)
    return flows.where(kept)


def _refused_by_broker(flows: FlowSet) -> float:
    """Return the share of connections whose CONNACK has a code other than 0 (MQTT 3.1.1 section 3.2, 5.0 section 3.2)."""
    word = flows.column("responder_prefix") >> np.uint64(32)
    return float(((word >> np.uint64(24) == 0x20) & (word & np.uint64(0xFF) != 0)).mean())


def _guessing(flows: FlowSet, settings: ApplicationSettings) -> Finding | None:
    port = int(flows.column("responder_port")[0])
    service = LOGIN_PORTS[port]
    tries = _brief(flows)
    if len(tries) < settings.guessing_connections:
        return None
    in_window = most_within(tries.column("first_seen_ns"), np.ones(len(tries), np.int64), settings.guessing_window_s)
    if in_window < settings.guessing_connections:
        return None
    every = len(tries)
    tries = _alike(tries)
    if len(tries) < max(_ALIKE_SHARE * every, settings.guessing_connections):
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
        refused = _refused_by_broker(tries)
        if refused < 0.5:
            return None
        evidence.add("refusal", CLEAR, "R_REFUSED", refused, 0.5, f"the broker refused {refused:.0%} of them")
    elif service == "database":
        most = float(tries.column("responder_payload_octets").max())
        if most <= _REFUSAL_OCTETS:
            text = f"the server says {most:,.0f} octets at most: no question was answered"
            evidence.add("refusal", FAIR, "R_BRIEF_ANSWERS", most, _REFUSAL_OCTETS, text)
    else:
        evidence.add("service", FAIR, "R_LOGIN_PORT", port, 1, f"port {port} is a {service} log-in")
    return Finding(f"{service}-bruteforce", [service_host(flows)], tries, evidence, [port])


def distributed_guessing(context: Context, settings: ApplicationSettings, explained: np.ndarray) -> list[Finding]:
    """Find log-ins tried by many sources, each of which tries too seldom to be told by itself."""
    rows = context.established
    rows = rows[np.isin(context.spoken.port, list(LOGIN_PORTS)) & ~explained[rows]]
    found = []
    for flows in services(context, settings.distributed_guesses, rows):
        tries = _brief(flows)
        if len(tries) < settings.distributed_guesses or len(tries) < 0.8 * len(flows):
            continue
        tries, least = _alike(tries), _ALIKE_SHARE * settings.distributed_guesses
        at_once = (
            most_within(tries.column("first_seen_ns"), np.ones(len(tries), np.int64), settings.distributed_window_s) if len(tries) else 0
        )
        if at_once < least or len(tries) < _ALIKE_SHARE * len(flows) or tries.source_count < _SEVERAL_SOURCES:
            continue
        varies = max(variation(tries.column(f"{end}_payload_octets").astype(float)) for end in ("initiator", "responder"))
        if varies > settings.guessing_variation:
            continue
        port = int(flows.column("responder_port")[0])
        if LOGIN_PORTS[port] == "mqtt" and _refused_by_broker(tries) < 0.5:
            continue
        if LOGIN_PORTS[port] == "database" and float(tries.column("responder_payload_octets").max()) > _REFUSAL_OCTETS:
            continue
        evidence = Evidence()
        evidence.add(
            "repetition", CLEAR if at_once >= 2 * settings.distributed_guesses else FAIR, "R_REPEATED_LOGINS", at_once,
            settings.distributed_guesses, f"{len(tries):,} connections to a log-in service from {tries.source_count:,} sources",
        )  # fmt: skip
        text = f"their sizes vary by {varies:.0%}: the same dialogue each time"
        evidence.add("uniformity", CLEAR, "R_ALIKE", varies, settings.guessing_variation, text)
        share = len(tries) / len(flows)
        evidence.add("share", SLIGHT, "R_NEVER_STAYS", share, 0.8, f"{share:.0%} of the connections end like this")
        evidence.add("service", FAIR, "R_LOGIN_PORT", port, 1, f"port {port} is a {LOGIN_PORTS[port]} log-in")
        found.append(Finding(f"{LOGIN_PORTS[port]}-bruteforce", [service_host(flows)], tries, evidence, [port]))
    return found


def credential_stuffing(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find passwords tried over HTTP: the same path asked for again and again, and denied."""
    rows = context.established[context.spoken.denied]
    found = []
    for flows in services(context, 1, rows):
        groups, clients = flows.sources
        starts, order = split(groups, len(clients))
        denied = np.bincount(groups, weights=flows.column("denied_responses"), minlength=len(clients))
        often = np.nonzero(denied >= min(settings.denied_requests, settings.denied_requests_unposted))[0]
        single = [_denied(flows.take(order[starts[n] : starts[n + 1]]), settings, distributed=False) for n in often]
        kept = [finding for finding in single if finding is not None and finding.is_reported]
        if not kept and len(clients) >= _SEVERAL_SOURCES:
            together = _denied(flows, settings, distributed=True)
            kept = [together] if together is not None else []
        found.extend(kept)
    return found


def _denied(flows: FlowSet, settings: ApplicationSettings, *, distributed: bool) -> Finding | None:
    """Judge the connections of one client, or of all, in which requests were denied."""
    requests, denied, answers = (flows.column(name).astype(np.int64) for name in ("requests", "denied_responses", "responses"))
    posted = float(begins_with(flows.column("initiator_prefix"), b"POST").mean()) >= _POSTED_SHARE
    least = settings.denied_requests if posted else settings.denied_requests_unposted
    least = settings.distributed_guesses if distributed else least
    window_s = settings.distributed_window_s if distributed else settings.guessing_window_s
    count = int(denied.sum())
    busiest_count = most_within(flows.column("first_seen_ns"), denied, window_s)
    if busiest_count < least:
        return None
    if int(requests.sum()) / max(flows.span_s, 1.0) >= settings.insistent_request_rate_pps:
        return None  # a server that refuses a flood of requests; the rules of floods judge it
    share = count / max(int(answers.sum()), 1)
    paths = flows.column("path_hash")
    values, counts = np.unique(paths, return_counts=True)
    same = float(flows.column("same_path_requests")[paths == values[counts.argmax()]].sum()) / max(int(requests.sum()), 1)
    if share < settings.denied_share or same < _POSTED_SHARE:
        return None
    evidence = Evidence()
    sources = f" from {flows.source_count:,} sources" if distributed else ""
    weight = CLEAR if busiest_count >= 3 * least or not posted else FAIR
    text = f"{count:,} requests for one path are denied{sources}, {busiest_count:,} of them within {window_s:,.0f} s"
    evidence.add("repetition", weight, "R_REPEATED_LOGINS", busiest_count, least, text)
    evidence.add("refusal", CLEAR, "R_DENIED", share, settings.denied_share, f"{share:.0%} of the answers say 401, 403, 407 or 429")
    evidence.add("content", FAIR, "R_ONE_TARGET", same, _POSTED_SHARE, f"{same:.0%} of the requests are for the same path")
    if posted:
        evidence.add("method", SLIGHT, "R_POSTED", 1.0, _POSTED_SHARE, "they post a form, as log-ins do")
    port = int(flows.column("responder_port")[0])
    return Finding("http-credential-stuffing", [service_host(flows)], flows, evidence, [port])
