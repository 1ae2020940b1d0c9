"""Scans: one source that knocks at many ports of a host, or at one port of many hosts, and is mostly refused or ignored."""

from itertools import islice

import numpy as np

from floodmark.flows.flowset import (
    FlowSet,
    Host,
    modal_share,
    number,
    split,
    top_ports,
)
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import service_host
from floodmark.verdicts.context import Context
from floodmark.verdicts.prefixes import prefix_of
from floodmark.verdicts.weighing import (
    CLEAR,
    FAIR,
    MOST_VICTIMS,
    SLIGHT,
    Evidence,
    Finding,
)
from floodmark_core.flows import shapes

_WINDOW_NS = 300_000_000_000  # five minutes: Zeek's legacy scan policy and CLASSIFICATION of Snort's
_MANY = 100
_UDP, _UDP_TRIES = 17, 3  # of a host, more than which no scanner spends on average
# Beyond this, knocking at one host is harm by quantity whatever the ports: far above what scanners send to a single host.
_FLOOD_RATE_PPS = 10_000.0
_FLOOD_PACKETS = 5_000
_FLOOD_SOURCES = 3
_UDP_FLOOD_SOURCES, _UDP_JOINT_RATE_PPS = 2, 200.0  # datagrams to everywhere are sent by scanners one by one, with pauses for answers
_JOINT_RATE_PPS = 500.0  # the floor of a flood
_LONG_AND_SAME_OCTETS = 16.0
_PROBE_OCTETS = 256.0  # of a UDP probe's payload at most; those of scanners are below 100


def scans(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find vertical, horizontal, stealth and UDP scans and host sweeps, by source."""
    least = min(settings.scan_ports, settings.scan_hosts)
    rows, flows = context.probes(least), context.flows
    if not len(rows):
        return []
    seen = flows.columns(rows, ("initiator_hi", "initiator_lo", "ip_version"))
    groups, leaders = number(seen["initiator_hi"], seen["initiator_lo"], seen["ip_version"].astype(np.uint64))
    starts, order = split(groups, len(leaders))
    found: list[Finding] = []
    for group in np.nonzero(np.diff(starts) >= least)[0]:
        found.extend(_scans_of(context, rows[order[starts[group] : starts[group + 1]]], settings))
    return _without_floods(found)


def _without_floods(found: list[Finding]) -> list[Finding]:
    """Drop the parts of a flood: several sources that try one host or prefix at the same time, at a rate that no scanner needs."""
    parts: dict[Host, list[Finding]] = {}
    for finding in found:
        parts.setdefault(_target(finding), []).append(finding)
    floods = set()
    for host, together in parts.items():
        first, last = min(part.flows.first_ns for part in together), max(part.flows.last_ns for part in together)
        busy_ns = sum(part.flows.last_ns - part.flows.first_ns for part in together)
        packets = sum(part.flows.total_packets for part in together)
        at_once = busy_ns >= 0.5 * len(together) * (last - first)
        udp = all(part.vector == "udp-scan" for part in together)
        sources, rate = (_UDP_FLOOD_SOURCES, _UDP_JOINT_RATE_PPS) if udp else (_FLOOD_SOURCES, _JOINT_RATE_PPS)
        if len(together) >= sources and at_once and packets >= rate * max(last - first, 1) / 1e9:
            floods.add(host)
    return [finding for finding in found if _target(finding) not in floods]


def _target(finding: Finding) -> Host:
    """Return what a scan is aimed at: a host, or the prefix of the first of several."""
    return finding.victims[0] if len(finding.victims) == 1 else prefix_of(finding.victims[0])


def _densest(flows: FlowSet) -> FlowSet:
    """Return the flows of the five minutes in which most of them begin."""
    times = flows.column("first_seen_ns")
    ordered = np.sort(times)
    until = np.searchsorted(ordered, ordered + _WINDOW_NS, side="right")
    best = int(np.argmax(until - np.arange(len(ordered))))
    return flows.where((times >= ordered[best]) & (times <= ordered[best] + _WINDOW_NS))


def _contacts(flows: FlowSet) -> tuple[int, int, int]:
    """Return how many (host, port) pairs, hosts and ports a source tried."""
    port = flows.column("responder_port").astype(np.uint64)
    host = flows.column("responder_hi") * np.uint64(0x9E3779B97F4A7C15) ^ flows.column("responder_lo")
    return len(number(host, port, port)[1]), len(np.unique(host)), len(np.unique(port))


def _scans_of(context: Context, index: np.ndarray, settings: ApplicationSettings) -> list[Finding]:
    """Judge one source: each host it tried at many ports, then each port it tried at many hosts, then pings."""
    everything = context.clients(index)
    held = context.connections_of(everything.senders(np.zeros(1, np.int64))[0])
    spoke = held.where(held.column("responder_payload_octets") + held.column("initiator_payload_octets") > 0)
    echo = context.shape[index] == shapes.ICMP_ECHO
    transport = everything.where(~echo)
    found, free = [], np.ones(len(transport), bool)
    if len(transport):
        hosts, first = number(transport.column("responder_hi"), transport.column("responder_lo"), np.zeros(len(transport), np.uint64))
        starts, order = split(hosts, len(first))
        for group in np.nonzero(np.diff(starts) >= settings.scan_ports)[0]:
            places = order[starts[group] : starts[group + 1]]
            finding = _vertical(context, transport.take(places), spoke, settings)
            if finding is not None:
                found.append(finding)
                free[places] = False
        rest = transport.where(free)
        ports, protocols = rest.column("responder_port"), rest.column("protocol")
        for port in top_ports(ports, 10) if len(rest) else []:
            for protocol in (6, 17):
                flows = rest.where((ports == port) & (protocols == protocol))
                finding = _horizontal(context, flows, spoke, settings)
                if finding is not None:
                    found.append(finding)
    finding = _horizontal(context, everything.where(echo), spoke, settings)
    return [*found, finding] if finding is not None else found


def _successes(spoke: FlowSet, same: np.ndarray) -> int:
    """Return how many contacts of a source became connections that carried something. same: which of them count."""
    kept = spoke.where(same)
    return _contacts(kept)[0] if len(kept) else 0


def _weigh_common(evidence: Evidence, flows: FlowSet, contacts: tuple[int, int], what: str, settings: ApplicationSettings) -> None:
    """Add what all scans share: contacts that fail, little said, probes that are alike, speed."""
    failures, successes = contacts
    failed = failures / (failures + successes)
    if failed >= settings.scan_failure_share:
        evidence.add(
            "failure", CLEAR, "R_CONTACTS_FAIL", failed, settings.scan_failure_share, f"{failed:.0%} of its contacts came to nothing"
        )
    least = settings.scan_ports if what == "ports" else settings.scan_hosts
    evidence.add(
        "fan-out", CLEAR if failures >= _MANY else FAIR, "R_FAN_OUT", failures, least, f"one source tried {failures + successes:,} {what}"
    )
    refused = float((flows.column("rst_packets") > 0).mean())
    if refused >= 0.5:
        evidence.add("refusal", SLIGHT, "R_REFUSED", refused, 0.5, f"{refused:.0%} of the probes were refused")
    bare = (flows.column("protocol") == 6) & (flows.column("tcp_options") == 0)
    alike = max(float(bare.mean()), modal_share(flows.column("initiator_isn")) if (flows.column("protocol") == 6).all() else 0.0)
    if alike >= 0.5:
        evidence.add("probe", FAIR, "R_CRAFTED_PROBE", alike, 0.5, f"{alike:.0%} of the probes are no ordinary system's SYNs")
    rate = len(flows) / flows.span_s
    if rate >= 10 and len(flows) >= least:
        evidence.add("speed", SLIGHT, "R_CONTACT_RATE", rate, 10, f"{rate:,.0f} contacts a second")


def _vertical(context: Context, flows: FlowSet, spoke: FlowSet, settings: ApplicationSettings) -> Finding | None:
    """Judge one source against one host. spoke: its connections that carried something."""
    dense = _densest(flows)
    contacts, _, ports = _contacts(dense)
    sent = int(dense.packets.sum())
    if ports < settings.scan_ports:
        return None
    if sent >= _FLOOD_PACKETS and sent / dense.span_s >= _FLOOD_RATE_PPS:
        return None  # harm by quantity: the flood rules judge it
    tries = len(dense) / ports
    if tries > 2 * settings.scan_tries_per_port:
        return None
    evidence = Evidence()
    host = service_host(flows)
    same_host = (spoke.column("responder_lo") == host.lo) & (spoke.column("responder_hi") == host.hi)
    successes = _successes(spoke, same_host)
    _weigh_common(evidence, dense, (contacts, successes), "ports", settings)
    if tries <= settings.scan_tries_per_port:
        evidence.add("tries", SLIGHT, "R_FEW_TRIES", tries, settings.scan_tries_per_port, f"{tries:.1f} tries for each port")
    shape = context.shape[flows.index]
    udp, odd = float((shape == shapes.UDP).mean()), float(np.isin(shape, (shapes.ODD_FLAGS, shapes.FIN, shapes.ACK)).mean())
    vector = "udp-scan" if udp > 0.5 else "stealth-scan" if odd > 0.5 else "vertical-scan"
    if host.is_many or (vector == "udp-scan" and (ports < 2 * settings.scan_ports or _is_barrage(dense))):
        return None
    return Finding(
        vector,
        [host],
        flows,
        evidence,
        top_ports(flows.column("responder_port")),
        None,
        ("tcp-rst-flood", "tcp-fin-flood", "tcp-flag-flood"),
    )


def _is_barrage(flows: FlowSet) -> bool:
    """Tell whether datagrams to many ports are no probes: those are short, and empty or made for the service of each port."""
    octets = float(flows.column("initiator_payload_octets").sum()) / max(flows.total_packets, 1)
    return octets > _PROBE_OCTETS or (octets >= _LONG_AND_SAME_OCTETS and modal_share(flows.column("initiator_prefix")) >= 0.9)


def initiator_of(flows: FlowSet) -> Host:
    """Return the host that began all of some flows."""
    return flows.senders(np.zeros(1, np.int64))[0]


def _horizontal(context: Context, flows: FlowSet, spoke: FlowSet, settings: ApplicationSettings) -> Finding | None:
    """Judge one source against many hosts at one port, or by echo requests."""
    if len(flows) < settings.scan_hosts:
        return None
    dense = _densest(flows)
    _, hosts, _ = _contacts(dense)
    if hosts < settings.scan_hosts:
        return None
    if int(dense.packets.sum()) > _UDP_TRIES * hosts and dense.column("protocol")[0] == _UDP:
        return None  # nobody asks so often: the rules of floods judge it
    evidence = Evidence()
    is_echo = context.shape[flows.index[0]] == shapes.ICMP_ECHO
    if is_echo:
        # Where packets are missing, answers stand without their questions.
        number_of = context.host_numbers.get(initiator_of(dense))
        alone = len(context.shaped(number_of, shapes.ICMP_ECHO_REPLY)) if number_of is not None else 0
        answered = min(int((dense.column("responder_packets") > 0).sum()) + alone, hosts)
        _weigh_common(evidence, dense, (hosts - answered, answered), "hosts", settings)
    else:
        successes = _successes(spoke, spoke.column("responder_port") == flows.column("responder_port")[0])
        _weigh_common(evidence, dense, (hosts, successes), "hosts", settings)
    tries = len(dense) / hosts
    if tries <= settings.scan_tries_per_port:
        evidence.add("tries", SLIGHT, "R_FEW_TRIES", tries, settings.scan_tries_per_port, f"{tries:.1f} tries for each host")
    _, first = number(flows.column("responder_hi"), flows.column("responder_lo"), np.zeros(len(flows), np.uint64))
    hosts_in_all = len(first)
    version, hi, lo = (flows.column(name)[first] for name in ("ip_version", "responder_hi", "responder_lo"))
    found = (Host(int(v), int(h), int(w)) for v, h, w in zip(version, hi, lo, strict=True))
    victims = list(islice((host for host in found if not host.is_many), MOST_VICTIMS))
    vector = "host-sweep" if is_echo else "udp-scan" if flows.column("protocol")[0] == 17 else "horizontal-scan"
    if len(victims) < settings.scan_hosts:
        return None
    ports = [] if is_echo else [int(flows.column("responder_port")[0])]
    return Finding(vector, victims, flows, evidence, ports, victim_count=hosts_in_all)
