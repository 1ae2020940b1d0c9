"""Floods of queries that a server has to answer: DNS, including water torture and garbage, and game queries."""

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet, distinct, modal_share, top_ports
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import (
    AGAINST,
    CLEAR,
    FAIR,
    MANY_SOURCES,
    RATE,
    STRONG,
    TTL_CONCENTRATION,
    Evidence,
    Finding,
    FloodThresholds,
    Rule,
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


@declares
class QueryThresholds(Checked):
    """Thresholds for floods of queries."""

    query_rate_qps: float = threshold(500.0, "DNS queries to one server, in the busiest stretch")
    query_clear_times: float = threshold(10.0, "the floor of a rate of DNS or game queries, from which on the rate is clear evidence")
    query_answered_share: float = threshold(0.5, "of the flows of DNS or game queries that get an answer, at most")
    query_working_share: float = threshold(0.95, "of the flows of DNS queries that get an answer, as an ordinary resolver's clients do")
    query_one_name_share: float = threshold(0.5, "of the flows of DNS queries for one name; the most popular one rarely has half")
    query_asked_once_packets: float = threshold(2.0, "queries of each source on average, at most; clients of a server come back")
    query_source_rate_times: int = threshold(10, "query_rate_qps over what each source asks a second: from there on the source is too fast")
    query_vain_share: float = threshold(0.9, "of the flows of no DNS messages that get no answer, or a format error")
    torture_queries: int = threshold(100, "under one domain")
    torture_flows_times: float = threshold(0.5, "torture_queries: fewest flows of these queries")
    torture_unique_share: float = threshold(0.6, "of those flows that are for a name of their own; what gets no answer is asked again")
    torture_failure_share: float = threshold(0.5, "of those flows that get no answer, an error or no such name")
    torture_domain_share: float = threshold(0.2, "of the server's queries that are under the domain")
    torture_random_share: float = threshold(0.2, "of those flows whose name looks made up; among ordinary names one in twenty does")
    torture_words_share: float = threshold(0.9, "of those flows whose name does not look made up: beyond it the names are words")
    torture_visitor_flows: int = threshold(
        3, "for one name that exists: the domain's own visitors; a made-up one is asked for once or twice"
    )
    game_source_rate_qps: float = threshold(10.0, "game queries of each source; a server browser sends less than one")
    game_sources_times: float = threshold(2.0, "flood_packets: fewest sources of game queries that query once or twice each")


NAMES_NEVER_REPEAT = Rule(
    "R_NAMES_NEVER_REPEAT", "names", "different names for each query flow under one domain",
    "{queries:,} query flows under one domain ask for {measured:.0%} as many different names",
    "Visitors ask for a few popular names; random names never come from a cache and load the server.", "torture_unique_share",
)  # fmt: skip
NAMES_FAIL = Rule(
    "R_NAMES_FAIL", "failure", "share of query flows without an answer, or answered SERVFAIL, NXDOMAIN or REFUSED",
    "{measured:.0%} of these queries fail: no answer, NXDOMAIN, SERVFAIL or REFUSED",
    "Made-up names do not exist, so queries for them fail.", "torture_failure_share",
)  # fmt: skip
RANDOM_LABELS = Rule(
    "R_RANDOM_LABELS", "random", "share of query flows whose first label looks randomly generated",
    "{measured:.0%} of the queried names look randomly generated",
    "Names that people use are readable; tools generate random labels.", "torture_random_share",
)  # fmt: skip
WORDS = Rule(
    "R_WORDS", "random", "share of query flows whose first label does not look randomly generated",
    "{measured:.0%} of the queried names do not look randomly generated",
    "Readable names are used by people and services, so this speaks against generated ones.", "torture_words_share",
)  # fmt: skip
ONE_DOMAIN = Rule(
    "R_ONE_DOMAIN", "share", "share of the server's queries that are under this domain",
    "{measured:.0%} of the queries to this server are under this domain",
    "One domain rarely makes up so much of what a server is asked.", "torture_domain_share",
)  # fmt: skip
QUERIES_UNANSWERED = Rule(
    "R_QUERIES_UNANSWERED", "unanswered", "share of the query flows that get an answer",
    "only {measured:.0%} of the {what} flows get an answer",
    "A working server answers nearly all ordinary queries; in a flood most stay unanswered.", "query_answered_share",
)  # fmt: skip
QUERIES_ANSWERED = Rule(
    "R_QUERIES_ANSWERED", "unanswered", "share of DNS query flows that get an answer",
    "{measured:.0%} of the DNS query flows get an answer",
    "A server that answers nearly everything copes with ordinary load, so this speaks against a flood.", "query_working_share",
)  # fmt: skip
ONE_NAME = Rule(
    "R_ONE_NAME", "names", "share of query flows for the most frequent name",
    "{measured:.0%} of the query flows ask for the same name",
    "Clients ask for many names; a tool repeats one.", "query_one_name_share",
)  # fmt: skip
ASKED_ONCE = Rule(
    "R_ASKED_ONCE", "clients", "queries of each source, on average",
    "{sources:,} sources send only {measured:.1f} {what} each",
    "Real clients come back; a forged address appears once or twice.", "query_asked_once_packets",
)  # fmt: skip
DNS_QUERIES_PER_SOURCE = Rule(
    "R_DNS_QUERIES_PER_SOURCE", "clients", "DNS queries a second of each source, on average",
    "each source sends {measured:,.0f} DNS queries a second on average",
    "Ordinary clients of a DNS server ask far less often. Compared with query_rate_qps / query_source_rate_times.",
)  # fmt: skip
NO_MESSAGE = Rule(
    "R_NO_MESSAGE", "content", "datagrams to port 53 that are not DNS messages",
    "{measured:,} datagrams to port 53 of a DNS server are not DNS messages",
    "Clients send a DNS server DNS messages only; anything else is meant to waste its time.", "flood_packets",
)  # fmt: skip
IN_VAIN = Rule(
    "R_IN_VAIN", "unanswered", "share of flows without an answer, or with a format error as the answer",
    "{measured:.0%} of these flows get no answer, or a format error ({complaints:,} of them)",
    "A server does not understand garbage: it drops it, or answers FORMERR.", "query_vain_share",
)  # fmt: skip
GAME_QUERIES_PER_SOURCE = Rule(
    "R_GAME_QUERIES_PER_SOURCE", "source", "game queries a second of each source, on average",
    "each source sends {measured:,.0f} game queries a second on average",
    "A browser of game servers queries each of them less than once a second.", "game_source_rate_qps",
)  # fmt: skip


def query_floods(case: Case[FloodThresholds, QueryThresholds]) -> list[Finding]:
    """Find floods of DNS queries and of game queries."""
    found: list[Finding | None] = []
    context, limits, settings = case.context, case.volumetric, case.application
    for host in _asked_often(case, context.hosts.udp_receivers(limits.flood_packets)):
        parts = context.hosts.shaped(host, shapes.UDP), context.hosts.shaped(host, shapes.UDP_DIALOGUE)
        flows = parts[0].joined(parts[1]).not_taken(case.explained)
        codes, ports = flows.sent("payload_kind"), flows.received("port")
        questions, to_dns = flows.where(codes == _QUESTION), ports == _DNS_PORT
        torture = _water_torture(context, host, questions, settings)
        if torture is not None and torture.is_reported:
            found.append(torture)
            questions = questions.where(~np.isin(questions.index, torture.flows.index))
        found.append(_dns_flood(case, host, questions))
        found.append(_dns_garbage(case, host, flows.where(to_dns & (codes != _QUESTION) & (codes != _ANSWER)), questions))
        found.append(_game_flood(case, host, flows.where(codes == _GAME_QUERY)))
    return [finding for finding in found if finding is not None]


def _asked_often(case: Case[FloodThresholds, QueryThresholds], hosts: list[int]) -> list[int]:
    """Return the hosts that received enough questions, game queries, or datagrams to the port of DNS that are no messages of it."""
    limits, settings = case.volumetric, case.application
    flows, place = case.context.hosts.shaped_together(hosts, shapes.UDP, shapes.UDP_DIALOGUE)
    codes, to_dns, free = flows.sent("payload_kind"), flows.received("port") == _DNS_PORT, ~case.explained[flows.index]

    def packets(wanted: np.ndarray) -> np.ndarray:
        wanted = wanted & free
        return np.bincount(place[wanted], weights=flows.packets[wanted], minlength=len(hosts))

    few = min(limits.flood_packets, limits.structural_packets)
    enough = packets(codes == _QUESTION) >= min(settings.torture_queries, limits.structural_packets)
    enough |= packets(to_dns & (codes != _QUESTION) & (codes != _ANSWER)) >= few
    enough |= packets(codes == _GAME_QUERY) >= few
    return [host for host, wanted in zip(hosts, enough, strict=True) if wanted]


def _answered(flows: FlowSet) -> np.ndarray:
    """Return for each flow whether its queries got a response."""
    got: np.ndarray = flows.received("packets") > 0
    return got


def _response_codes(flows: FlowSet) -> np.ndarray:
    """Return the RCODE of each flow's first response; meaningless if there is none."""
    codes: np.ndarray = (flows.received("prefix") >> np.uint64(48)).astype(np.int64) & 15
    return codes


def _water_torture(context: Context, host: int, flows: FlowSet, settings: QueryThresholds) -> Finding | None:
    """Judge queries for names under one domain that are never queried twice and do not exist."""
    if flows.total_packets < settings.torture_queries or not context.baseline.answers(host):
        return None  # only responses show whether names exist
    words = flows.sent("prefix")
    parents, names = words >> np.uint64(33), words & np.uint64(0xFFFFFFFF)
    mapped = parents == names >> np.uint64(1)  # a single-label name, or one under arpa
    values, counts = np.unique(parents[~mapped], return_counts=True)
    if not len(values):
        return None
    under = flows.where((parents == values[counts.argmax()]) & ~mapped)
    if under.total_packets < settings.torture_queries or len(under) < settings.torture_flows_times * settings.torture_queries:
        return None
    words = under.sent("prefix")
    unique = distinct(words & np.uint64(0xFFFFFFFF)) / len(under)
    random = float((words >> np.uint64(32) & np.uint64(1)).mean())
    answered = _answered(under)
    failed = float((~answered | np.isin(_response_codes(under), (_SERVER_FAILURE, _NO_SUCH_NAME, _REFUSED))).mean())
    share = under.total_packets / flows.total_packets
    if unique < settings.torture_unique_share or failed < settings.torture_failure_share or share < settings.torture_domain_share:
        return None
    evidence = Evidence()
    evidence.add(NAMES_NEVER_REPEAT, CLEAR, unique, settings.torture_unique_share, queries=len(under))
    evidence.add(NAMES_FAIL, FAIR, failed, settings.torture_failure_share)
    if random >= settings.torture_random_share:
        evidence.add(RANDOM_LABELS, CLEAR, random, settings.torture_random_share)
    elif 1 - random > settings.torture_words_share:
        evidence.add(WORDS, AGAINST, 1 - random, settings.torture_words_share)
    evidence.add(ONE_DOMAIN, FAIR, share, settings.torture_domain_share)
    under = _without_visitors(under, settings)
    cap_for_view(evidence, answers=True, packets=under.total_packets, span_s=under.span_s)
    return Finding("dns-water-torture", [context.hosts.host(host)], under, evidence, [_DNS_PORT])


def _without_visitors(under: FlowSet, settings: QueryThresholds) -> FlowSet:
    """Return queries under one domain, except those for existing names that were queried several times: the domain's own visitors."""
    _, place, counts = np.unique(under.sent("prefix") & np.uint64(0xFFFFFFFF), return_inverse=True, return_counts=True)
    exists = _answered(under) & (_response_codes(under) == _NO_ERROR)
    return under.where(~(exists & (counts[place] >= settings.torture_visitor_flows)))


def _dns_flood(case: Case[FloodThresholds, QueryThresholds], host: int, flows: FlowSet) -> Finding | None:
    """Judge queries by number: more than a server's clients send, and mostly unanswered."""
    context, limits, settings = case.context, case.volumetric, case.application
    floor = settings.query_rate_qps
    rate = flows.busiest_rate_pps if len(flows) else 0.0
    if flows.total_packets < limits.structural_packets or rate < floor:
        return None
    evidence, answers, seen = Evidence(), context.baseline.answers(host), flows.sample
    weigh_magnitude(evidence, rate, floor, "DNS queries", settings.query_clear_times)
    settled = context.baseline.settled(flows)
    answered = float(_answered(settled).mean()) if len(settled) >= limits.flood_packets else 1.0
    if answers and answered <= settings.query_answered_share:
        evidence.add(QUERIES_UNANSWERED, CLEAR, answered, settings.query_answered_share, what="DNS query")
    elif answers and answered >= settings.query_working_share and len(settled) >= limits.flood_packets:
        evidence.add(QUERIES_ANSWERED, AGAINST, answered, settings.query_working_share)
    one_name = modal_share(seen.sent("prefix") & np.uint64(0xFFFFFFFF))
    if one_name >= settings.query_one_name_share and len(seen) >= limits.flood_packets:
        evidence.add(ONE_NAME, CLEAR if one_name >= limits.modal_share else FAIR, one_name, settings.query_one_name_share)
    spoofed = weigh_spoofing(evidence, flows, limits)
    each, fast = flows.total_packets / flows.source_count, floor / settings.query_source_rate_times
    if each <= settings.query_asked_once_packets and flows.source_count >= limits.flood_packets:
        evidence.add(ASKED_ONCE, FAIR, each, settings.query_asked_once_packets, sources=flows.source_count, what="DNS queries")
    elif each / flows.span_s >= fast:
        evidence.add(DNS_QUERIES_PER_SOURCE, FAIR, each / flows.span_s, fast)
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    return Finding("dns-query-flood", [context.hosts.host(host)], flows, evidence, [_DNS_PORT], spoofed)


def _dns_garbage(case: Case[FloodThresholds, QueryThresholds], host: int, flows: FlowSet, questions: FlowSet) -> Finding | None:
    """Judge datagrams to a DNS server that are not DNS messages; if no DNS server is visible, they are an ordinary flood."""
    context, limits, settings = case.context, case.volumetric, case.application
    if not len(flows) or not floor_reached(flows, limits):
        return None
    complaints = int((_response_codes(flows)[_answered(flows)] == _FORMAT_ERROR).sum())
    working = int(_answered(questions).sum()) if len(questions) else 0
    if not complaints and not working:
        return None
    evidence, answers = Evidence(), context.baseline.answers(host)
    evidence.add(NO_MESSAGE, CLEAR, flows.total_packets, limits.flood_packets)
    weigh_magnitude(evidence, flows.busiest_rate_pps, limits.flood_rate_pps, "datagrams", limits.clear_rate_times)
    vain = 1 - (float(_answered(flows).sum()) - complaints) / len(flows)
    if answers and vain >= settings.query_vain_share:
        evidence.add(IN_VAIN, FAIR, vain, settings.query_vain_share, complaints=complaints)
    if flows.source_count >= limits.many_sources:
        evidence.add(MANY_SOURCES, FAIR, flows.source_count, limits.many_sources, what="non-DNS datagrams to port 53")
    spoofed = weigh_spoofing(evidence, flows, limits)
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    return Finding("dns-garbage-flood", [context.hosts.host(host)], flows, evidence, [_DNS_PORT], spoofed)


def _game_flood(case: Case[FloodThresholds, QueryThresholds], host: int, flows: FlowSet) -> Finding | None:
    """Judge large numbers of queries to one game server, which server browsers send only now and then."""
    context, limits, settings = case.context, case.volumetric, case.application
    if not len(flows) or not floor_reached(flows, limits):
        return None
    port = top_ports(flows.sample.received("port"), 1)[0]
    flows = flows.where(flows.received("port") == port)
    evidence, answers, sources = Evidence(), context.baseline.answers(host), flows.source_count
    each = flows.total_packets / sources
    weigh_magnitude(evidence, flows.busiest_rate_pps, limits.flood_rate_pps, "game queries", settings.query_clear_times)
    if sources >= limits.many_sources:
        evidence.add(MANY_SOURCES, FAIR, sources, limits.many_sources, what="game queries")
    if each / flows.span_s >= settings.game_source_rate_qps:
        evidence.add(GAME_QUERIES_PER_SOURCE, CLEAR, each / flows.span_s, settings.game_source_rate_qps)
    answered = float(_answered(context.baseline.settled(flows)).mean()) if len(context.baseline.settled(flows)) else 1.0
    if answers and answered <= settings.query_answered_share:
        evidence.add(QUERIES_UNANSWERED, CLEAR, answered, settings.query_answered_share, what="game query")
    spoofed = weigh_spoofing(evidence, flows, limits)
    if each <= settings.query_asked_once_packets and sources >= settings.game_sources_times * limits.flood_packets:
        weight = STRONG if flows.busiest_rate_pps >= limits.flood_rate_pps else FAIR
        evidence.add(ASKED_ONCE, weight, each, settings.query_asked_once_packets, sources=sources, what="game queries")
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    return Finding(
        "game-query-flood", [context.hosts.host(host)], flows, evidence, [port], spoofed, ("udp-flood", "icmp-unreachable-flood")
    )


FAMILY = Family(
    "query-floods",
    "application",
    QueryThresholds,
    (
        Judge(
            "query-floods",
            query_floods,
            ("dns-query-flood", "dns-water-torture", "dns-garbage-flood", "game-query-flood"),
            (
                NAMES_NEVER_REPEAT, NAMES_FAIL, RANDOM_LABELS, WORDS, ONE_DOMAIN, QUERIES_UNANSWERED, QUERIES_ANSWERED, ONE_NAME,
                ASKED_ONCE, DNS_QUERIES_PER_SOURCE, NO_MESSAGE, IN_VAIN, GAME_QUERIES_PER_SOURCE, MANY_SOURCES, TTL_CONCENTRATION, RATE,
            ),
            after=("connection-floods",),
        ),
    ),
)  # fmt: skip
