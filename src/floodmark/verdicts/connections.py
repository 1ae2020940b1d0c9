"""What clients do with connections: request floods, connections opened to be held or thrown away, slow dialogues, guessing at log-ins."""

import numpy as np

from floodmark.context import Context, FlowSet, Host, modal_share, number, split
from floodmark.services import LOGIN_PORTS
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.evidence import CLEAR, FAIR, SLIGHT, STRONG, Evidence, Finding
from floodmark_core import kinds, payload, shapes

_ONE_TARGET_SHARE = 0.9  # of the connections of a client, or of a service, that ask for one path
_FEW_CONNECTIONS = 20  # a share of 0.9 means something from here on (Wilson lower bound 0.7)
_POST = int.from_bytes(b"POST", "big")


def services(context: Context, least: int) -> list[FlowSet]:
    """Return the TCP connections of each service (host and port) that had at least ``least``, in order of first appearance."""
    rows, flows = context.established, context.flows.rows
    if not len(rows):
        return []
    third = flows["responder_port"][rows].astype(np.uint64) | flows["ip_version"][rows].astype(np.uint64) << np.uint64(16)
    groups, leaders = number(flows["responder_hi"][rows], flows["responder_lo"][rows], third)
    starts, order = split(groups, len(leaders))
    busy = np.nonzero(np.diff(starts) >= least)[0]
    return [context.clients(rows[order[starts[group] : starts[group + 1]]]) for group in busy]


def _service_host(flows: FlowSet) -> Host:
    return Host(int(flows.column("ip_version")[0]), int(flows.column("responder_hi")[0]), int(flows.column("responder_lo")[0]))


def _duration_s(flows: FlowSet) -> np.ndarray:
    seconds: np.ndarray = (flows.column("last_seen_ns") - flows.column("first_seen_ns")) / 1e9
    return seconds


def _most_at_once(flows: FlowSet) -> int:
    """Return how many of the flows were open at the same time."""
    begins, ends = np.sort(flows.column("first_seen_ns")), np.sort(flows.column("last_seen_ns"))
    ended = np.searchsorted(ends, begins, side="left")
    return int((np.arange(1, len(begins) + 1) - ended).max())


def _variation(values: np.ndarray) -> float:
    """Return the coefficient of variation."""
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else 0.0


def slow_connections(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find connections kept open by saying almost nothing, by service."""
    found = []
    for flows in services(context, settings.slow_connections):
        for vector, mask, text in _slow_kinds(flows, settings):
            slow = flows.where(mask)
            least = settings.slow_connections if vector != "slow-connection" else 4 * settings.slow_connections
            if len(slow) < least:
                continue
            at_once = _most_at_once(slow)
            if at_once < least:
                continue
            evidence = Evidence()
            evidence.add("dialogue", STRONG, f"R_{vector.upper().replace('-', '_')}", len(slow), least, f"{len(slow):,} connections {text}")
            evidence.add(
                "concurrency",
                FAIR if at_once < 4 * least else 2.0,
                "R_OPEN_AT_ONCE",
                at_once,
                least,
                f"{at_once:,} of them were open at the same time",
            )
            share = len(slow) / len(flows)
            if share >= settings.slow_share:
                evidence.add(
                    "share", FAIR, "R_SHARE", share, settings.slow_share, f"{share:.0%} of the service's connections are like this"
                )
            alike = _variation(slow.column("initiator_payload_octets").astype(float))
            if alike <= settings.guessing_variation:
                evidence.add("uniformity", SLIGHT, "R_ALIKE", alike, settings.guessing_variation, "they say the same amount")
            found.append(Finding(vector, [_service_host(flows)], slow, evidence, [int(flows.column("responder_port")[0])]))
            break
    return found


def _slow_kinds(flows: FlowSet, settings: ApplicationSettings) -> list[tuple[str, np.ndarray, str]]:
    """Return (vector, mask, what such a connection does) for each way to be slow, the most exact first."""
    stage, packets = flows.column("stage"), flows.column("initiator_payload_packets")
    octets, age = flows.column("initiator_payload_octets"), _duration_s(flows)
    gap_s = flows.column("max_gap_ns") / 1e9
    requests, small = flows.column("requests"), flows.column("initiator_small_packets")
    responses, errors = flows.column("responses"), flows.column("error_responses")
    unanswered = responses == errors
    trickle = (octets * 8 < settings.slow_rate_bps * np.maximum(age, 1.0)) & (gap_s >= 1.0)
    open_head = (requests > 0) & (stage & kinds.STAGE_HEAD_OPEN > 0)
    is_post = flows.column("initiator_prefix") >> np.uint64(32) == np.uint64(_POST)
    old = age >= settings.slow_age_s
    half_old = age >= settings.slow_age_s / 4
    few_windows = flows.column("small_window_packets") * 2 >= flows.column("initiator_packets")
    # A head joined in the middle: header lines and nothing else, to a server that is silent or answers with an error.
    dribble = (requests == 0) & (small == packets) & (packets >= 1) & (octets / np.maximum(packets, 1) <= 64) & trickle & half_old
    silent = flows.column("responder_payload_octets") == 0
    given_up = dribble & (((errors > 0) & unanswered) | (silent & (packets >= 2)))
    is_web = bool((responses > 0).any() or (requests > 0).any())
    body = is_post & (stage & kinds.STAGE_HEAD_DONE > 0) & trickle & half_old & (packets >= 3) & unanswered
    stalled = (requests > 0) & few_windows & half_old & (flows.column("small_window_packets") >= 3)
    return [
        ("http-slow-headers", open_head & trickle & half_old & unanswered & (packets >= 2), "send a head line by line and never end it"),
        ("http-slow-headers", given_up & is_web, "dribble header lines until the server gives up"),
        ("http-slow-post", body, "send a body octet by octet"),
        ("http-slow-read", stalled, "ask and then leave no room for the answer"),
        ("slow-connection", dribble & silent & old & (packets >= 2), "dribble a few octets and get no answer"),
    ]


def request_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find HTTP floods: many requests a second to one service, by clients that behave alike."""
    found = []
    for flows in services(context, 1):
        asking = flows.where(flows.column("requests") > 0)
        if len(asking) == 0 or int(asking.column("requests").sum()) < settings.flood_requests:
            continue
        asking = _machines(asking)
        requests = asking.column("requests").astype(np.int64)
        rate = _busiest(asking.column("first_seen_ns"), requests, asking.span_s)
        groups, clients = asking.sources
        per_client = np.bincount(groups, weights=requests, minlength=len(clients))
        fastest = float(per_client.max()) / asking.span_s
        # Machines that hammer one thing are a flood at a lower rate than visitors are.
        insistent = float(np.median(per_client)) / asking.span_s >= settings.insistent_request_rate_pps
        floor = settings.insistent_service_rate_pps if insistent else settings.service_request_rate_pps
        if requests.sum() < settings.flood_requests or (rate < floor and fastest < settings.request_rate_pps):
            continue
        evidence = Evidence()
        _weigh_requests(evidence, asking, requests, per_client, settings)
        if rate >= floor:
            weight = CLEAR if rate >= 10 * floor else FAIR
            evidence.add("magnitude", weight, "R_REQUEST_RATE", rate, floor, f"{rate:,.0f} requests a second reach one service")
        if fastest >= settings.request_rate_pps and asking.span_s >= 1.0:
            weight = CLEAR if fastest >= 10 * settings.request_rate_pps else FAIR
            floor = settings.request_rate_pps
            evidence.add("source", weight, "R_REQUESTS_PER_SOURCE", fastest, floor, f"one client sends {fastest:,.0f} requests a second")
        port = int(flows.column("responder_port")[0])
        found.append(Finding(_request_vector(asking), [_service_host(flows)], asking, evidence, [port]))
    return found


def _machines(flows: FlowSet) -> FlowSet:
    """Return the connections of clients that ask for one thing again and again, or all where there are no such clients.

    In a flood beside ordinary visitors only the clients that carry evidence themselves are part of it.
    """
    paths, requests = flows.column("path_hash"), flows.column("requests").astype(np.int64)
    groups, clients = flows.sources
    values, counts = np.unique(paths, return_counts=True)
    same = paths == values[counts.argmax()]
    asked = np.bincount(groups, weights=requests, minlength=len(clients))
    repeated = flows.column("same_path_requests") * same
    alike = np.bincount(groups, weights=repeated, minlength=len(clients)) >= _ONE_TARGET_SHARE * asked
    if not alike.any():
        return flows
    alike &= asked >= max(2.0, 0.1 * float(np.median(asked[alike])))
    return flows.where(alike[groups]) if asked[alike].sum() >= 0.5 * asked.sum() else flows


def _busiest(times: np.ndarray, weights: np.ndarray, span_s: float) -> float:
    """Return the most requests a second over any ten seconds, or over the whole where that is shorter."""
    order = np.argsort(times, kind="stable")
    ordered, sums = times[order], np.concatenate(([0], np.cumsum(weights[order])))
    window = int(min(max(span_s, 1.0), 10.0) * 1e9)
    until = np.searchsorted(ordered, ordered + window, side="right")
    return float((sums[until] - sums[np.arange(len(ordered))]).max() / (window / 1e9))


def _request_vector(flows: FlowSet) -> str:
    whole, path = flows.column("query_hash"), flows.column("path_hash")
    if len(flows) >= _FEW_CONNECTIONS and modal_share(path) >= _ONE_TARGET_SHARE and len(np.unique(whole)) >= 0.9 * len(flows):
        return "http-cache-busting"
    method = flows.column("initiator_prefix") >> np.uint64(32)
    if float((method == _POST).mean()) >= 0.9:
        return "http-post-flood"
    return "http-get-flood" if float((method == int.from_bytes(b"GET ", "big")).mean()) >= 0.9 else "http-flood"


def _weigh_requests(
    evidence: Evidence, flows: FlowSet, requests: np.ndarray, per_client: np.ndarray, settings: ApplicationSettings
) -> None:
    """Add what tells a machine's requests from people's: one target, one at a time, alike, without an answer."""
    paths = flows.column("path_hash")
    values, counts = np.unique(paths, return_counts=True)
    same = float(flows.column("same_path_requests")[paths == values[counts.argmax()]].sum() / requests.sum())
    if same >= _ONE_TARGET_SHARE and requests.sum() >= settings.flood_requests:
        text = f"{same:.0%} of the requests are for the same path, and nothing that belongs to it"
        evidence.add("content", CLEAR, "R_ONE_TARGET", same, _ONE_TARGET_SHARE, text)
    clients = len(per_client)
    if (clients >= 10 and _variation(per_client) <= 0.5) or (clients >= 5 and _variation(per_client) <= 0.3):
        evidence.add("clients", FAIR, "R_CLIENTS_ALIKE", _variation(per_client), 0.5, f"{clients:,} clients ask equally often")
    elif clients < 10 or float(per_client.max()) >= 20 * float(np.median(per_client)):
        share = float(per_client.max()) / float(per_client.sum())
        if share >= 0.5:
            evidence.add("clients", FAIR, "R_ONE_CLIENT", share, 0.5, f"one client sends {share:.0%} of the requests")
    answered = float(flows.column("responses").sum()) / float(requests.sum())
    errors = float(flows.column("error_responses").sum()) / max(float(flows.column("responses").sum()), 1.0)
    if answered <= 0.5 and float(flows.column("responder_packets").sum()) > 0:
        evidence.add("distress", FAIR, "R_UNANSWERED", answered, 0.5, f"{answered:.0%} of the requests get an answer")
    elif errors >= 0.5:
        evidence.add("distress", SLIGHT, "R_ERRORS", errors, 0.5, f"{errors:.0%} of the answers are errors")
    once = float((requests == 1).mean())
    if once >= 0.9 and len(flows) >= settings.flood_connections:
        evidence.add(
            "reuse", FAIR, "R_ONE_REQUEST_EACH", once, 0.9, f"{once:.0%} of the connections carry one request; browsers reuse theirs"
        )


def connection_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find connections opened in numbers to carry nothing, and connection attempts repeated against a closed port."""
    found = []
    for flows in services(context, settings.flood_connections):
        began = flows.where(flows.column("stage") & kinds.STAGE_SYN > 0)
        said = began.column("initiator_payload_octets") + began.column("responder_payload_octets")
        idle = began.where((said <= 256) & (began.column("requests") == 0))
        if len(idle) < settings.flood_connections or len(idle) < 0.8 * len(began):
            continue
        ones = np.ones(len(idle), np.int64)
        rate = _busiest(idle.column("first_seen_ns"), ones, idle.span_s)
        if rate < settings.connection_rate_pps:
            continue
        evidence = Evidence()
        evidence.add(
            "magnitude", CLEAR if rate >= 10 * settings.connection_rate_pps else FAIR,
            "R_CONNECTION_RATE", rate, settings.connection_rate_pps, f"{rate:,.0f} connections a second carry almost nothing",
        )  # fmt: skip
        share = len(idle) / len(began)
        evidence.add("share", FAIR, "R_SHARE", share, 0.8, f"{share:.0%} of the service's connections are like this")
        mute = float((said[said <= 256] == 0).mean())
        if mute >= 0.9:
            evidence.add("dialogue", CLEAR, "R_NOTHING_SAID", mute, 0.9, f"in {mute:.0%} of them not an octet is said")
        held = float((idle.column("end_reason") == kinds.END_CAPTURE).mean())
        if held >= 0.5:
            evidence.add("held", FAIR, "R_HELD_OPEN", held, 0.5, f"{held:.0%} of them were never closed")
        alike = _variation((said[said <= 256] + 1).astype(float))
        if alike <= settings.guessing_variation:
            evidence.add("uniformity", FAIR, "R_ALIKE", alike, settings.guessing_variation, "they say the same amount")
        per_source = len(idle) / idle.source_count / max(idle.span_s, 1.0)
        if per_source >= 10:
            evidence.add("source", FAIR, "R_CONNECTIONS_PER_SOURCE", per_source, 10, f"each client opens {per_source:,.0f} a second")
        found.append(Finding("connection-flood", [_service_host(flows)], idle, evidence, [int(flows.column("responder_port")[0])]))
    return found + _handshake_floods(context, settings) + _refused_floods(context, settings)


def _handshake_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Judge TLS connections that end after the client's first words: the server has done its costly part for nothing."""
    found = []
    for flows in services(context, settings.flood_connections):
        greeting = flows.where(flows.column("initiator_payload_kind") == 2 * payload.TLS + payload.REQUEST)
        if len(greeting) < settings.flood_connections:
            continue
        over = np.isin(greeting.column("end_reason"), (kinds.END_FIN, kinds.END_RST, kinds.END_REUSE))
        left = greeting.where((greeting.column("initiator_payload_packets") == 1) & over & (_duration_s(greeting) <= 30))
        share = len(left) / len(greeting)
        if len(left) < settings.flood_connections or share < 0.8:
            continue
        rate, floor = _busiest(left.column("first_seen_ns"), np.ones(len(left), np.int64), left.span_s), settings.handshake_rate_pps
        if rate < floor:
            continue
        evidence = Evidence()
        evidence.add(
            "dialogue", STRONG, "R_HANDSHAKE_ABANDONED", share, 0.8, f"{share:.0%} of the TLS clients leave after their ClientHello"
        )
        weight = CLEAR if rate >= 10 * floor else FAIR
        evidence.add("magnitude", weight, "R_HANDSHAKE_RATE", rate, floor, f"{rate:,.0f} handshakes a second are begun for nothing")
        alike = _variation(left.column("initiator_payload_octets").astype(float))
        if alike <= settings.guessing_variation:
            evidence.add("uniformity", SLIGHT, "R_ALIKE", alike, settings.guessing_variation, "the ClientHellos are alike")
        found.append(Finding("tls-handshake-flood", [_service_host(flows)], left, evidence, [int(flows.column("responder_port")[0])]))
    return found


def _refused_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Judge ordinary-looking connection attempts that one source repeats against one port although none succeeds."""
    found = []
    for host in context.hosts_with(shapes.SYN, settings.flood_connections):
        flows = context.shaped(host, shapes.SYN)
        flows = flows.where(flows.column("tcp_options") != 0)
        if len(flows) < settings.flood_connections:
            continue
        ports = flows.column("responder_port").astype(np.uint64)
        groups, leaders = number(flows.column("initiator_hi"), flows.column("initiator_lo"), ports)
        starts, order = split(groups, len(leaders))
        for group in np.nonzero(np.diff(starts) >= settings.flood_connections)[0]:
            tries = flows.where(np.isin(np.arange(len(flows)), order[starts[group] : starts[group + 1]]))
            rate = len(tries) / max(tries.span_s, 1.0)
            refused = float((tries.column("responder_packets") > 0).mean())
            if rate < 2 * settings.request_rate_pps or refused < 0.5:
                continue
            evidence = Evidence()
            evidence.add(
                "completion",
                CLEAR,
                "R_NO_COMPLETION",
                refused,
                0.5,
                f"the host answers {refused:.0%} of {len(tries):,} attempts and none becomes a connection",
            )
            evidence.add(
                "source",
                2.0,
                "R_ATTEMPTS_PER_SOURCE",
                rate,
                20,
                f"one client makes {rate:,.0f} attempts a second at one port; an ordinary one waits longer each time",
            )
            if tries.span_s >= 10:
                evidence.add("persistence", SLIGHT, "R_SUSTAINED", tries.span_s, 10, f"it goes on for {tries.span_s:,.0f} s")
            found.append(Finding("connection-flood", [context.host(host)], tries, evidence, [int(tries.column("responder_port")[0])]))
    return found


def guessing(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find repeated log-ins by the shape of the connections: many, short, alike, from one source to one log-in service."""
    rows, flows = context.established, context.flows.rows
    rows = rows[np.isin(flows["responder_port"][rows], list(LOGIN_PORTS))]
    if not len(rows):
        return []
    hosts, _ = number(flows["responder_hi"][rows], flows["responder_lo"][rows], flows["responder_port"][rows].astype(np.uint64))
    groups, leaders = number(flows["initiator_hi"][rows], flows["initiator_lo"][rows], hosts.astype(np.uint64))
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
    tries = flows.where((up > 0) & (down > 0) & (up <= 8192) & (down <= 16_384) & (_duration_s(flows) <= 30) & closed)
    if len(tries) < settings.guessing_connections:
        return None
    rate = _busiest(tries.column("first_seen_ns"), np.ones(len(tries), np.int64), settings.guessing_window_s)
    in_window = rate * min(settings.guessing_window_s, 10.0) * settings.guessing_window_s / 10.0
    if in_window < settings.guessing_connections:
        return None
    up, down = tries.column("initiator_payload_octets").astype(float), tries.column("responder_payload_octets").astype(float)
    variation = max(_variation(up), _variation(down))
    if variation > settings.guessing_variation:
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
        variation,
        settings.guessing_variation,
        f"their sizes vary by {variation:.0%}: the same dialogue each time",
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
    return Finding(f"{service}-bruteforce", [_service_host(flows)], tries, evidence, [port])
