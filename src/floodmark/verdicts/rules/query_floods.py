"""Floods of questions that a server is made to answer: DNS, with its water torture and its garbage, and game queries."""

import numpy as np

from floodmark.flows.flowset import FlowSet, distinct, modal_share, top_ports
from floodmark.settings import Settings, VolumetricSettings
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import (
    AGAINST,
    CLEAR,
    FAIR,
    STRONG,
    Evidence,
    Finding,
    cap_for_view,
    floor_reached,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark_core.flows import payload, shapes

_DNS_PORT = 53
_QUESTION, _ANSWER = 2 * payload.DNS, 2 * payload.DNS + payload.REPLY
_GAME_QUERY = 2 * payload.GAME
_NO_ERROR, _FORMAT_ERROR, _SERVER_FAILURE, _NO_SUCH_NAME, _REFUSED = 0, 1, 2, 3, 5  # RFC 1035, RCODE
_SEVERAL_TIMES = 3  # a made-up name is asked for once, or once more where no answer came
_ASKED_ONCE = 2.0  # questions of one source, on average
_ONE_NAME_SHARE = 0.5  # of the questions; names are asked for by their popularity, the first one rarely by half
_MADE_UP_SHARE = 0.2  # of the names: among ordinary ones one in twenty looks made up
_WORKING_SHARE = 0.95  # of the questions of an ordinary resolver's clients that are answered


def query_floods(context: Context, settings: Settings, explained: np.ndarray) -> list[Finding]:
    """Find floods of DNS questions and of game queries. explained: bool per flow row, true for flows that another finding holds."""
    found: list[Finding | None] = []
    limits = settings.volumetric
    for host in context.udp_receivers(limits.flood_packets):
        parts = context.shaped(host, shapes.UDP), context.shaped(host, shapes.UDP_DIALOGUE)
        flows = parts[0].joined(parts[1]).not_taken(explained)
        codes, ports = flows.sent("payload_kind"), flows.received("port")
        questions, to_dns = flows.where(codes == _QUESTION), ports == _DNS_PORT
        torture = _water_torture(context, host, questions, settings)
        if torture is not None and torture.is_reported:
            found.append(torture)
            questions = questions.where(~np.isin(questions.index, torture.flows.index))
        found.append(_dns_flood(context, host, questions, settings))
        found.append(_dns_garbage(context, host, flows.where(to_dns & (codes != _QUESTION) & (codes != _ANSWER)), questions, limits))
        found.append(_game_flood(context, host, flows.where(codes == _GAME_QUERY), limits))
    return [finding for finding in found if finding is not None]


def _answered(flows: FlowSet) -> np.ndarray:
    """Tell of each flow whether its questions got an answer."""
    got: np.ndarray = flows.received("packets") > 0
    return got


def _response_codes(flows: FlowSet) -> np.ndarray:
    """Return the RCODE of each flow's first answer; meaningless where there is none."""
    codes: np.ndarray = (flows.received("prefix") >> np.uint64(48)).astype(np.int64) & 15
    return codes


def _water_torture(context: Context, host: int, flows: FlowSet, settings: Settings) -> Finding | None:
    """Judge questions for names under one domain that nobody asks for twice and that do not exist."""
    limits = settings.application
    if flows.total_packets < limits.torture_queries or not context.answers(host):
        return None  # whether names exist is in the answers alone
    words = flows.sent("prefix")
    parents, names = words >> np.uint64(33), words & np.uint64(0xFFFFFFFF)
    mapped = parents == names >> np.uint64(1)  # a name of one label, or under arpa
    values, counts = np.unique(parents[~mapped], return_counts=True)
    if not len(values):
        return None
    under = flows.where((parents == values[counts.argmax()]) & ~mapped)
    if under.total_packets < limits.torture_queries or len(under) < limits.torture_queries / 2:
        return None
    words = under.sent("prefix")
    unique = distinct(words & np.uint64(0xFFFFFFFF)) / len(under)
    random = float((words >> np.uint64(32) & np.uint64(1)).mean())
    answered = _answered(under)
    failed = float((~answered | np.isin(_response_codes(under), (_SERVER_FAILURE, _NO_SUCH_NAME, _REFUSED))).mean())
    share = under.total_packets / flows.total_packets
    if unique < limits.torture_unique_share or failed < limits.torture_failure_share or share < limits.torture_domain_share:
        return None
    evidence = Evidence()
    text = f"{unique:.0%} of {len(under):,} names asked for under one domain are never asked for again"
    evidence.add("names", CLEAR, "R_NAMES_NEVER_REPEAT", unique, limits.torture_unique_share, text)
    text = f"{failed:.0%} of these questions get no answer, an error or the word that there is no such name"
    evidence.add("failure", FAIR, "R_NAMES_FAIL", failed, limits.torture_failure_share, text)
    if random >= _MADE_UP_SHARE:
        evidence.add("random", CLEAR, "R_RANDOM_LABELS", random, _MADE_UP_SHARE, f"{random:.0%} of the names look made up at first sight")
    elif random < _MADE_UP_SHARE / 2:
        evidence.add("random", AGAINST, "R_WORDS", 1 - random, 1 - _MADE_UP_SHARE / 2, f"{1 - random:.0%} of the names are words")
    text = f"{share:.0%} of the questions to this server are for this domain"
    evidence.add("share", FAIR, "R_ONE_DOMAIN", share, limits.torture_domain_share, text)
    under = _without_visitors(under)
    cap_for_view(evidence, answers=True, packets=under.total_packets, span_s=under.span_s)
    return Finding("dns-water-torture", [context.host(host)], under, evidence, [_DNS_PORT])


def _without_visitors(under: FlowSet) -> FlowSet:
    """Return questions under one domain without those for names that exist and that several ask for: the domain's own visitors."""
    _, place, counts = np.unique(under.sent("prefix") & np.uint64(0xFFFFFFFF), return_inverse=True, return_counts=True)
    exists = _answered(under) & (_response_codes(under) == _NO_ERROR)
    return under.where(~(exists & (counts[place] >= _SEVERAL_TIMES)))


def _dns_flood(context: Context, host: int, flows: FlowSet, settings: Settings) -> Finding | None:
    """Judge questions by their number: more than a server's clients ask, and mostly left without an answer."""
    limits, floor = settings.volumetric, settings.application.query_rate_pps
    rate = flows.busiest_rate_pps if len(flows) else 0.0
    if flows.total_packets < limits.structural_packets or rate < floor:
        return None
    evidence, answers, seen = Evidence(), context.answers(host), flows.sample
    weigh_magnitude(evidence, rate, floor, "DNS questions", clear_at=10)
    settled = context.settled(flows)
    answered = float(_answered(settled).mean()) if len(settled) >= limits.flood_packets else 1.0
    if answers and answered <= 0.5:
        evidence.add("unanswered", CLEAR, "R_UNANSWERED", answered, 0.5, f"{answered:.0%} of the questions get an answer")
    elif answers and answered >= _WORKING_SHARE and len(settled) >= limits.flood_packets:
        evidence.add("unanswered", AGAINST, "R_ANSWERED", answered, _WORKING_SHARE, f"{answered:.0%} of the questions get an answer")
    one_name = modal_share(seen.sent("prefix") & np.uint64(0xFFFFFFFF))
    if one_name >= _ONE_NAME_SHARE and len(seen) >= limits.flood_packets:
        text = f"{one_name:.0%} of the questions are for one name"
        weight = CLEAR if one_name >= limits.modal_share else FAIR
        evidence.add("names", weight, "R_ONE_NAME", one_name, _ONE_NAME_SHARE, text)
    spoofed = weigh_spoofing(evidence, flows, limits)
    each = flows.total_packets / flows.source_count
    if each <= _ASKED_ONCE and flows.source_count >= limits.flood_packets:
        text = f"{flows.source_count:,} sources ask {each:.1f} times each; the clients of a server come back"
        evidence.add("clients", FAIR, "R_ASKED_ONCE", each, _ASKED_ONCE, text)
    elif each / flows.span_s >= floor / 10:
        text = f"each source asks {each / flows.span_s:,.0f} times a second"
        evidence.add("clients", FAIR, "R_RATE_PER_SOURCE", each / flows.span_s, floor / 10, text)
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    return Finding("dns-query-flood", [context.host(host)], flows, evidence, [_DNS_PORT], spoofed)


def _dns_garbage(context: Context, host: int, flows: FlowSet, questions: FlowSet, limits: VolumetricSettings) -> Finding | None:
    """Judge datagrams to a DNS server that are no DNS messages; where no such server shows they are a flood like any other."""
    if not len(flows) or not floor_reached(flows, limits):
        return None
    complaints = int((_response_codes(flows)[_answered(flows)] == _FORMAT_ERROR).sum())
    working = int(_answered(questions).sum()) if len(questions) else 0
    if not complaints and not working:
        return None
    evidence, answers = Evidence(), context.answers(host)
    text = f"{flows.total_packets:,} datagrams to port 53 of a DNS server are no DNS messages"
    evidence.add("content", CLEAR, "R_NO_MESSAGE", flows.total_packets, limits.flood_packets, text)
    weigh_magnitude(evidence, flows.busiest_rate_pps, limits.flood_rate_pps, "datagrams")
    vain = 1 - (float(_answered(flows).sum()) - complaints) / len(flows)
    if answers and vain >= 0.9:
        text = f"{vain:.0%} of them get no answer, or the word that they are malformed ({complaints:,})"
        evidence.add("unanswered", FAIR, "R_IN_VAIN", vain, 0.9, text)
    if flows.source_count >= 20:
        evidence.add("spread", FAIR, "R_MANY_SOURCES", flows.source_count, 20, f"{flows.source_count:,} sources send them")
    spoofed = weigh_spoofing(evidence, flows, limits)
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    return Finding("dns-garbage-flood", [context.host(host)], flows, evidence, [_DNS_PORT], spoofed)


def _game_flood(context: Context, host: int, flows: FlowSet, limits: VolumetricSettings) -> Finding | None:
    """Judge queries that browsers of game servers send now and then, sent to one server in numbers."""
    if not len(flows) or not floor_reached(flows, limits):
        return None
    port = top_ports(flows.sample.received("port"), 1)[0]
    flows = flows.where(flows.received("port") == port)
    evidence, answers, sources = Evidence(), context.answers(host), flows.source_count
    each = flows.total_packets / sources
    weigh_magnitude(evidence, flows.busiest_rate_pps, limits.flood_rate_pps, "queries", clear_at=10)
    if sources >= 20:
        text = f"{sources:,} sources query one game server"
        evidence.add("spread", FAIR, "R_MANY_SOURCES", sources, 20, text)
    if each / flows.span_s >= 10:
        text = f"each source queries {each / flows.span_s:,.0f} times a second; a server browser does so less than once"
        evidence.add("source", CLEAR, "R_RATE_PER_SOURCE", each / flows.span_s, 10, text)
    answered = float(_answered(context.settled(flows)).mean()) if len(context.settled(flows)) else 1.0
    if answers and answered <= 0.5:
        evidence.add("unanswered", CLEAR, "R_UNANSWERED", answered, 0.5, f"{answered:.0%} of the queries get an answer")
    spoofed = weigh_spoofing(evidence, flows, limits)
    if each <= _ASKED_ONCE and sources >= 2 * limits.flood_packets:
        text = f"{sources:,} sources query {each:.1f} times each and never play"
        evidence.add(
            "clients", STRONG if flows.busiest_rate_pps >= limits.flood_rate_pps else FAIR, "R_ASKED_ONCE", each, _ASKED_ONCE, text
        )
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    return Finding("game-query-flood", [context.host(host)], flows, evidence, [port], spoofed, ("udp-flood", "icmp-unreachable-flood"))
