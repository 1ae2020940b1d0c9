"""Password guessing, by the shape of the connections: many, short, alike."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import FlowSet, split
from floodmark.verdicts.clients import begins_with, duration_s, most_within, pairs, service_host, services, variation
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.rules.application.requests import ONE_TARGET, RequestThresholds
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding, Rule
from floodmark.vocabulary.services import LOGIN_PORTS
from floodmark_core import kinds


@declares
class GuessingThresholds(RequestThresholds):
    """Thresholds for guessing; requests faster than insistent_request_rate_rps are a flood that is being refused."""

    guessing_connections: int = threshold(10, "fewest brief ones of one source to one service within the window")
    guessing_window_s: float = threshold(60.0, "in which connections, or denied requests, of one source are counted")
    guessing_clear_times: float = threshold(3.0, "guessing_connections: from so many alike on, repetition is clear evidence")
    guessing_client_bytes: int = threshold(8192, "payload of the client in a log-in that failed, at most")
    guessing_server_bytes: int = threshold(16_384, "payload of the server in a log-in that failed, at most")
    guessing_duration_s: float = threshold(30.0, "of a log-in that failed, at most")
    guessing_median_share: float = threshold(0.5, "of the median payload, by which connections that are alike differ from it at most")
    guessing_alike_share: float = threshold(0.8, "of the brief connections that are alike; of distributed_guesses, in the window")
    guessing_variation: float = threshold(0.3, "of the payload of each connection, in the direction that varies more, at most")
    guessing_brief_share: float = threshold(0.9, "of one source's connections to the service that are brief, closed and alike")
    guessing_mqtt_refused_share: float = threshold(0.5, "of the log-ins that the broker refuses; fewer are no guesses")
    guessing_database_refusal_bytes: int = threshold(600, "payload of the server, at most: a greeting and a refusal")
    distributed_guesses: int = threshold(30, "fewest brief connections, or denied requests, of all clients of a service")
    distributed_window_s: float = threshold(300.0, "in which they are counted")
    distributed_sources: int = threshold(5, "fewest whose guesses are judged together")
    distributed_brief_share: float = threshold(0.8, "of all sources' connections to the service that are brief, closed and alike")
    distributed_clear_times: float = threshold(2.0, "distributed_guesses: from so many in the window on, repetition is clear evidence")
    denied_requests: int = threshold(10, "fewest of one client within guessing_window_s, where they post a form")
    unposted_denied_requests: int = threshold(30, "fewest of one client within guessing_window_s, where they carry no form")
    denied_clear_times: float = threshold(3.0, "the fewest denied requests: from so many on, repetition is clear evidence")
    denied_share: float = threshold(0.8, "of the responses; a browser is denied once or twice before it shows a password")
    denied_one_path_share: float = threshold(0.9, "of the requests that ask for the most frequent path")
    denied_posted_share: float = threshold(0.9, "of the connections that begin with POST: from here on they post a form")


REPEATED_LOGINS = Rule(
    "R_REPEATED_LOGINS", "repetition", "brief log-in connections in the busiest window",
    "{tries:,} brief connections to a log-in service come from {who}, {measured:,} of them within {window_s:,.0f} s",
    "People log in once or a few times; a guesser tries one password after another. "
    "Compared with guessing_connections or distributed_guesses.",
)  # fmt: skip
ALIKE = Rule(
    "R_ALIKE", "uniformity", "coefficient of variation of the payload bytes of each connection",
    "{what} varies by only {measured:.0%} between connections",
    "A tool repeats one exchange, so its connections carry the same amount; those of people differ. "
    "Each family compares it with its own setting.",
)  # fmt: skip
NEVER_STAYS = Rule(
    "R_NEVER_STAYS", "share", "share of the connections to the service that are brief, closed and alike",
    "{measured:.0%} of the connections from {who} to this service are brief, closed and alike",
    "Somebody who gets in stays connected at least once; a guesser is thrown out each time. "
    "Compared with guessing_brief_share or distributed_brief_share.",
)  # fmt: skip
LOGINS_REFUSED = Rule(
    "R_LOGINS_REFUSED", "refusal", "share of MQTT log-ins that the broker refused",
    "the broker refused {measured:.0%} of the log-ins",
    "A client with a valid password is let in; a guesser is refused nearly every time.", "guessing_mqtt_refused_share",
)  # fmt: skip
BRIEF_ANSWERS = Rule(
    "R_BRIEF_ANSWERS", "refusal", "most payload bytes that the server sent in any of the connections",
    "the server never sends more than {measured:,.0f} bytes, about a greeting and a refusal",
    "A greeting and a refusal are short; a client that gets in fetches more.", "guessing_database_refusal_bytes",
)  # fmt: skip
LOGIN_PORT = Rule(
    "R_LOGIN_PORT", "service", "port number of the service",
    "port {measured} is a {service} log-in port",
    "Only a service with a log-in can be guessed at; the port says that this is one.",
)  # fmt: skip
REPEATED_DENIALS = Rule(
    "R_REPEATED_DENIALS", "repetition", "denied requests in the busiest window, those of a connection counted where it begins",
    "the service denied {denied:,} requests from {who}, {measured:,} of them within {window_s:,.0f} s",
    "A person mistypes a password once or twice; a guesser is denied again and again. "
    "Compared with denied_requests, unposted_denied_requests or distributed_guesses.",
)  # fmt: skip
DENIED = Rule(
    "R_DENIED", "refusal", "share of responses with status 401, 403, 407 or 429",
    "{measured:.0%} of the responses have status 401, 403, 407 or 429",
    "Whoever has the password is denied at most once; a guesser nearly always.", "denied_share",
)  # fmt: skip
POSTED = Rule(
    "R_POSTED", "method", "1 where at least that share of the connections begins with POST",
    "at least {threshold:.0%} of the connections begin with POST, as log-in forms do",
    "Log-in forms are sent by POST; reading a page is not.", "denied_posted_share",
)  # fmt: skip


def guessing(case: Case[Any, GuessingThresholds]) -> list[Finding]:
    """Find repeated log-ins by the shape of the connections: many, short, alike, from one source to one log-in service."""
    context, settings = case.context, case.application
    rows = context.shapes.established[np.isin(context.shapes.spoken.port, list(LOGIN_PORTS))]
    judged = (_guessing(flows, settings) for flows in pairs(context, settings.guessing_connections, rows))
    return [finding for finding in judged if finding is not None]


def _brief(flows: FlowSet, settings: GuessingThresholds) -> FlowSet:
    """Return the closed connections that are short enough for a failed log-in."""
    up, down = flows.column("initiator_payload_octets").astype(float), flows.column("responder_payload_octets").astype(float)
    closed = np.isin(flows.column("end_reason"), (kinds.END_FIN, kinds.END_RST, kinds.END_REUSE))
    small = (up > 0) & (down > 0) & (up <= settings.guessing_client_bytes) & (down <= settings.guessing_server_bytes)
    return flows.where(small & (duration_s(flows) <= settings.guessing_duration_s) & closed)


def _alike(flows: FlowSet, settings: GuessingThresholds) -> FlowSet:
    """Return the connections with about as many bytes as the median one, in both directions: a successful guess has more."""
    kept = np.ones(len(flows), bool)
    for end in ("initiator", "responder"):
        sizes = flows.column(f"{end}_payload_octets").astype(float)
        kept &= np.abs(sizes - np.median(sizes)) <= settings.guessing_median_share * np.median(sizes)
    return flows.where(kept)


def _refused_by_broker(flows: FlowSet) -> float:
    """Return the share of connections whose CONNACK has a code other than 0 (MQTT 3.1.1 section 3.2, 5.0 section 3.2)."""
    word = flows.column("responder_prefix") >> np.uint64(32)
    return float(((word >> np.uint64(24) == 0x20) & (word & np.uint64(0xFF) != 0)).mean())


def _guessing(flows: FlowSet, settings: GuessingThresholds) -> Finding | None:
    port = int(flows.column("responder_port")[0])
    service = LOGIN_PORTS[port]
    tries = _brief(flows, settings)
    if len(tries) < settings.guessing_connections:
        return None
    in_window = most_within(tries.column("first_seen_ns"), np.ones(len(tries), np.int64), settings.guessing_window_s)
    if in_window < settings.guessing_connections:
        return None
    every = len(tries)
    tries = _alike(tries, settings)
    if len(tries) < max(settings.guessing_alike_share * every, settings.guessing_connections):
        return None
    up, down = tries.column("initiator_payload_octets").astype(float), tries.column("responder_payload_octets").astype(float)
    varies = max(variation(up), variation(down))
    if varies > settings.guessing_variation:
        return None
    evidence = Evidence()
    weight = CLEAR if len(tries) >= settings.guessing_clear_times * settings.guessing_connections else FAIR
    window_s, who = settings.guessing_window_s, "one source"
    evidence.add(REPEATED_LOGINS, weight, in_window, settings.guessing_connections, tries=every, who=who, window_s=window_s)
    evidence.add(ALIKE, FAIR, varies, settings.guessing_variation, what="the payload of each attempt")
    share = len(tries) / len(flows)
    if share >= settings.guessing_brief_share:
        evidence.add(NEVER_STAYS, SLIGHT, share, settings.guessing_brief_share, who=who)
    if service == "mqtt":
        refused = _refused_by_broker(tries)
        if refused < settings.guessing_mqtt_refused_share:
            return None
        evidence.add(LOGINS_REFUSED, CLEAR, refused, settings.guessing_mqtt_refused_share)
    elif service == "database":
        most = float(tries.column("responder_payload_octets").max())
        if most <= settings.guessing_database_refusal_bytes:
            evidence.add(BRIEF_ANSWERS, FAIR, most, settings.guessing_database_refusal_bytes)
    else:
        evidence.add(LOGIN_PORT, FAIR, port, 1, service=service)
    return Finding(f"{service}-bruteforce", [service_host(flows)], tries, evidence, [port])


def distributed_guessing(case: Case[Any, GuessingThresholds]) -> list[Finding]:
    """Find log-ins tried by many sources, each of which tries too seldom to be detected by itself."""
    context, settings = case.context, case.application
    rows = context.shapes.established
    rows = rows[np.isin(context.shapes.spoken.port, list(LOGIN_PORTS)) & ~case.explained[rows]]
    found = []
    for flows in services(context, settings.distributed_guesses, rows):
        tries = _brief(flows, settings)
        if len(tries) < settings.distributed_guesses or len(tries) < settings.distributed_brief_share * len(flows):
            continue
        tries, least = _alike(tries, settings), settings.guessing_alike_share * settings.distributed_guesses
        at_once = (
            most_within(tries.column("first_seen_ns"), np.ones(len(tries), np.int64), settings.distributed_window_s) if len(tries) else 0
        )
        lasting = len(tries) < settings.distributed_brief_share * len(flows)
        if at_once < least or lasting or tries.source_count < settings.distributed_sources:
            continue
        varies = max(variation(tries.column(f"{end}_payload_octets").astype(float)) for end in ("initiator", "responder"))
        if varies > settings.guessing_variation:
            continue
        port = int(flows.column("responder_port")[0])
        service = LOGIN_PORTS[port]
        if service == "mqtt" and _refused_by_broker(tries) < settings.guessing_mqtt_refused_share:
            continue
        most = float(tries.column("responder_payload_octets").max())
        if service == "database" and most > settings.guessing_database_refusal_bytes:
            continue
        evidence = Evidence()
        weight = CLEAR if at_once >= settings.distributed_clear_times * settings.distributed_guesses else FAIR
        window_s, who = settings.distributed_window_s, f"{tries.source_count:,} sources"
        evidence.add(REPEATED_LOGINS, weight, at_once, settings.distributed_guesses, tries=len(tries), who=who, window_s=window_s)
        evidence.add(ALIKE, CLEAR, varies, settings.guessing_variation, what="the payload of each attempt")
        evidence.add(NEVER_STAYS, SLIGHT, len(tries) / len(flows), settings.distributed_brief_share, who=who)
        evidence.add(LOGIN_PORT, FAIR, port, 1, service=service)
        found.append(Finding(f"{service}-bruteforce", [service_host(flows)], tries, evidence, [port]))
    return found


def credential_stuffing(case: Case[Any, GuessingThresholds]) -> list[Finding]:
    """Find passwords tried over HTTP: the same path requested repeatedly, and denied."""
    context, settings = case.context, case.application
    rows = context.shapes.established[context.shapes.spoken.denied]
    found = []
    for flows in services(context, 1, rows):
        groups, clients = flows.sources
        starts, order = split(groups, len(clients))
        denied = np.bincount(groups, weights=flows.column("denied_responses"), minlength=len(clients))
        often = np.nonzero(denied >= min(settings.denied_requests, settings.unposted_denied_requests))[0]
        single = [_denied(flows.take(order[starts[n] : starts[n + 1]]), settings, distributed=False) for n in often]
        kept = [finding for finding in single if finding is not None and finding.is_reported]
        if not kept and len(clients) >= settings.distributed_sources:
            together = _denied(flows, settings, distributed=True)
            kept = [together] if together is not None else []
        found.extend(kept)
    return found


def _denied(flows: FlowSet, settings: GuessingThresholds, *, distributed: bool) -> Finding | None:
    """Judge the connections of one client, or of all clients, in which requests were denied."""
    requests, denied, answers = (flows.column(name).astype(np.int64) for name in ("requests", "denied_responses", "responses"))
    posted = float(begins_with(flows.column("initiator_prefix"), b"POST").mean()) >= settings.denied_posted_share
    least = settings.denied_requests if posted else settings.unposted_denied_requests
    least = settings.distributed_guesses if distributed else least
    window_s = settings.distributed_window_s if distributed else settings.guessing_window_s
    count = int(denied.sum())
    busiest_count = most_within(flows.column("first_seen_ns"), denied, window_s)
    if busiest_count < least:
        return None
    if int(requests.sum()) / max(flows.span_s, 1.0) >= settings.insistent_request_rate_rps:
        return None  # a server refusing a flood of requests; the flood rules judge it
    share = count / max(int(answers.sum()), 1)
    paths = flows.column("path_hash")
    values, counts = np.unique(paths, return_counts=True)
    same = float(flows.column("same_path_requests")[paths == values[counts.argmax()]].sum()) / max(int(requests.sum()), 1)
    if share < settings.denied_share or same < settings.denied_one_path_share:
        return None
    evidence = Evidence()
    who = f"{flows.source_count:,} sources" if distributed else "one source"
    weight = CLEAR if busiest_count >= settings.denied_clear_times * least or not posted else FAIR
    evidence.add(REPEATED_DENIALS, weight, busiest_count, least, denied=count, who=who, window_s=window_s)
    evidence.add(DENIED, CLEAR, share, settings.denied_share)
    evidence.add(ONE_TARGET, FAIR, same, settings.denied_one_path_share)
    if posted:
        evidence.add(POSTED, SLIGHT, 1.0, settings.denied_posted_share)
    port = int(flows.column("responder_port")[0])
    return Finding("http-credential-stuffing", [service_host(flows)], flows, evidence, [port])


_VECTORS = tuple(dict.fromkeys(f"{service}-bruteforce" for service in LOGIN_PORTS.values()))
_OF_ONE_SOURCE = (REPEATED_LOGINS, ALIKE, NEVER_STAYS, LOGINS_REFUSED, BRIEF_ANSWERS, LOGIN_PORT)
_OF_MANY = (REPEATED_LOGINS, ALIKE, NEVER_STAYS, LOGIN_PORT)
FAMILY = Family(
    "guessing",
    "application",
    GuessingThresholds,
    (
        Judge("guessing", guessing, _VECTORS, _OF_ONE_SOURCE, after=("fuzzing",)),
        Judge("distributed-guessing", distributed_guessing, _VECTORS, _OF_MANY, after=("guessing",)),
        Judge(
            "credential-stuffing",
            credential_stuffing,
            ("http-credential-stuffing",),
            (REPEATED_DENIALS, DENIED, ONE_TARGET, POSTED),
            after=("distributed-guessing",),
        ),
    ),
)
