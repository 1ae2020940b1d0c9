"""Scans: one source that probes many ports of a host, or one port of many hosts, and is mostly refused or ignored."""

from itertools import islice
from typing import Any

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet, Host, modal_share, number, split, top_ports
from floodmark.verdicts.clients import service_host
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.prefixes import prefix_of
from floodmark.verdicts.weighing import CLEAR, FAIR, MOST_VICTIMS, SLIGHT, Evidence, Finding, Rule
from floodmark_core.flows import shapes
from floodmark_core.protocols import SECOND_NS, TCP, UDP

_PORTS_LOOKED_AT = 10  # most ports of one source, those with most flows
_ZEEK = "Zeek's legacy scan policy"


@declares
class ScanThresholds(Checked):
    """Thresholds for scans, and for scans that are floods."""

    scan_ports: int = threshold(15, "ports of one host that a source tries", _ZEEK)
    scan_hosts: int = threshold(25, "hosts that a source tries", _ZEEK)
    scan_window_s: float = threshold(300.0, "in which they are counted", _ZEEK)
    scan_failure_share: float = threshold(0.7, "of a source's contacts that came to nothing")
    scan_tries_per_port: float = threshold(2.0, "tries of each port or host; more is no scan but insistence")
    scan_most_tries_times: float = threshold(2.0, "scan_tries_per_port: beyond it nothing is called a scan of one host")
    scan_many_ports: int = threshold(100, "failed contacts, from which on they are clear evidence")
    scan_reset_share: float = threshold(0.5, "of the probes in whose flow a RST was seen")
    scan_crafted_share: float = threshold(0.5, "of the probes without TCP options, or with one sequence number")
    scan_rate_cps: float = threshold(10.0, "contacts, mean over the window")
    scan_kind_share: float = threshold(0.5, "of a source's probes: beyond it a scan is called by their kind, UDP or stealth")
    scan_udp_ports_times: float = threshold(2.0, "scan_ports: fewest ports of a UDP scan, where a closed port is often silent")
    scan_udp_host_tries: int = threshold(3, "datagrams to each host; more are no scan")
    scan_udp_probe_bytes: float = threshold(256.0, "mean payload of a UDP probe, at most; those of scanners are below 100")
    scan_udp_same_bytes: float = threshold(16.0, "mean payload of datagrams that begin alike: from here on they are no probes")
    scan_udp_same_share: float = threshold(0.9, "of the datagrams that begin alike")
    scan_flood_rate_pps: float = threshold(10_000.0, "packets of one source to one host: from here on it is a flood, whatever the ports")
    scan_flood_packets: int = threshold(5_000, "fewest packets of which that is said")
    scan_flood_sources: int = threshold(3, "sources that try one host or prefix at the same time: they are a flood")
    scan_flood_joint_rate_pps: float = threshold(500.0, "packets of these sources together; the floor of a flood")
    scan_udp_flood_sources: int = threshold(2, "the same over UDP, where scanners send one by one, with pauses for answers")
    scan_udp_flood_joint_rate_pps: float = threshold(200.0, "packets of these sources together, over UDP")
    scan_at_once_share: float = threshold(0.5, "of the time of all, in which each of these sources is busy on average")


CONTACTS_FAIL = Rule(
    "R_CONTACTS_FAIL", "failure", "share of the source's contacts that came to nothing",
    "{measured:.0%} of the source's contacts failed (no reply, or no data exchanged)",
    "Clients reach services that exist; a scanner mostly finds closed ports and empty addresses.", "scan_failure_share",
)  # fmt: skip
FAN_OUT = Rule(
    "R_FAN_OUT", "fan-out", "failed contacts within the window",
    "one source tried {tried:,} {what}, {measured:,} of them in vain",
    "An ordinary client uses a few ports and hosts; trying many is searching. Compared with scan_ports or scan_hosts.",
)  # fmt: skip
PROBES_RESET = Rule(
    "R_PROBES_RESET", "refusal", "share of probes in whose flow a RST was seen",
    "{measured:.0%} of the probes were reset",
    "A closed port answers a probe with a RST; most probes of a scan hit closed ports.", "scan_reset_share",
)  # fmt: skip
CRAFTED_PROBE = Rule(
    "R_CRAFTED_PROBE", "probe", "share of probes without TCP options, or with one initial sequence number, whichever is larger",
    "{measured:.0%} of the probes have no TCP options or share one sequence number",
    "Ordinary systems' SYNs have options and random sequence numbers; scanners craft theirs without.", "scan_crafted_share",
)  # fmt: skip
CONTACT_RATE = Rule(
    "R_CONTACT_RATE", "speed", "contacts a second",
    "the source makes {measured:,.0f} contacts a second",
    "People and most programs contact far fewer new targets a second.", "scan_rate_cps",
)  # fmt: skip
FEW_TRIES = Rule(
    "R_FEW_TRIES", "tries", "probes of each target, port or host",
    "the source makes {measured:.1f} tries for each {what}",
    "A scanner tries each target once or twice; a flood, or a client that insists, tries more often.", "scan_tries_per_port",
)  # fmt: skip


def scans(case: Case[Any, ScanThresholds]) -> list[Finding]:
    """Find vertical, horizontal, stealth and UDP scans, and host sweeps, by source."""
    context, settings = case.context, case.application
    least = min(settings.scan_ports, settings.scan_hosts)
    rows, flows = context.shapes.probes(least), context.flows
    if not len(rows):
        return []
    seen = flows.columns(rows, ("initiator_hi", "initiator_lo", "ip_version"))
    groups, leaders = number(seen["initiator_hi"], seen["initiator_lo"], seen["ip_version"].astype(np.uint64))
    starts, order = split(groups, len(leaders))
    found: list[Finding] = []
    for group in np.nonzero(np.diff(starts) >= least)[0]:
        found.extend(_scans_of(context, rows[order[starts[group] : starts[group + 1]]], settings))
    return _without_floods(found, settings)


def _without_floods(found: list[Finding], settings: ScanThresholds) -> list[Finding]:
    """Drop parts of a flood: several sources that probe one host or prefix at the same time, at a rate that no scanner needs."""
    parts: dict[Host, list[Finding]] = {}
    for finding in found:
        parts.setdefault(_target(finding), []).append(finding)
    floods = set()
    for host, together in parts.items():
        first, last = min(part.flows.first_ns for part in together), max(part.flows.last_ns for part in together)
        busy_ns = sum(part.flows.last_ns - part.flows.first_ns for part in together)
        packets = sum(part.flows.total_packets for part in together)
        at_once = busy_ns >= settings.scan_at_once_share * len(together) * (last - first)
        udp = all(part.vector == "udp-scan" for part in together)
        sources, rate = settings.scan_flood_sources, settings.scan_flood_joint_rate_pps
        if udp:
            sources, rate = settings.scan_udp_flood_sources, settings.scan_udp_flood_joint_rate_pps
        if len(together) >= sources and at_once and packets * SECOND_NS >= rate * max(last - first, 1):
            floods.add(host)
    return [finding for finding in found if _target(finding) not in floods]


def _target(finding: Finding) -> Host:
    """Return the target of a scan: a host, or the prefix of the first of several."""
    return finding.victims[0] if len(finding.victims) == 1 else prefix_of(finding.victims[0])


def _densest(flows: FlowSet, window_s: float) -> FlowSet:
    """Return the flows that begin in the window with most flow starts."""
    times, window_ns = flows.column("first_seen_ns"), round(window_s * SECOND_NS)
    ordered = np.sort(times)
    until = np.searchsorted(ordered, ordered + window_ns, side="right")
    best = int(np.argmax(until - np.arange(len(ordered))))
    return flows.where((times >= ordered[best]) & (times <= ordered[best] + window_ns))


def _contacts(flows: FlowSet) -> tuple[int, int, int]:
    """Return how many (host, port) pairs, hosts and ports a source tried."""
    port = flows.column("responder_port").astype(np.uint64)
    host = flows.column("responder_hi") * np.uint64(0x9E3779B97F4A7C15) ^ flows.column("responder_lo")
    return len(number(host, port, port)[1]), len(np.unique(host)), len(np.unique(port))


def _scans_of(context: Context, index: np.ndarray, settings: ScanThresholds) -> list[Finding]:
    """Judge one source: each host it tried at many ports, then each port it tried at many hosts, then pings."""
    everything = context.shapes.clients(index)
    held = context.baseline.connections_of(everything.senders(np.zeros(1, np.int64))[0])
    spoke = held.where(held.column("responder_payload_octets") + held.column("initiator_payload_octets") > 0)
    echo = context.shapes.shape[index] == shapes.ICMP_ECHO
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
        for port in top_ports(ports, _PORTS_LOOKED_AT) if len(rest) else []:
            for protocol in (TCP, UDP):
                flows = rest.where((ports == port) & (protocols == protocol))
                finding = _horizontal(context, flows, spoke, settings)
                if finding is not None:
                    found.append(finding)
    finding = _horizontal(context, everything.where(echo), spoke, settings)
    return [*found, finding] if finding is not None else found


def _successes(spoke: FlowSet, same: np.ndarray) -> int:
    """Return how many contacts of a source became connections with payload. same: which of them count."""
    kept = spoke.where(same)
    return _contacts(kept)[0] if len(kept) else 0


def _weigh_common(evidence: Evidence, flows: FlowSet, contacts: tuple[int, int], what: str, settings: ScanThresholds) -> None:
    """Add evidence that all scans share: failed contacts, fan-out, resets, crafted probes, speed."""
    failures, successes = contacts
    failed = failures / (failures + successes)
    if failed >= settings.scan_failure_share:
        evidence.add(CONTACTS_FAIL, CLEAR, failed, settings.scan_failure_share)
    least = settings.scan_ports if what == "ports" else settings.scan_hosts
    weight = CLEAR if failures >= settings.scan_many_ports else FAIR
    evidence.add(FAN_OUT, weight, failures, least, tried=failures + successes, what=what)
    reset = float((flows.column("rst_packets") > 0).mean())
    if reset >= settings.scan_reset_share:
        evidence.add(PROBES_RESET, SLIGHT, reset, settings.scan_reset_share)
    bare = (flows.column("protocol") == TCP) & (flows.column("tcp_options") == 0)
    alike = max(float(bare.mean()), modal_share(flows.column("initiator_isn")) if (flows.column("protocol") == TCP).all() else 0.0)
    if alike >= settings.scan_crafted_share:
        evidence.add(CRAFTED_PROBE, FAIR, alike, settings.scan_crafted_share)
    rate = len(flows) / flows.span_s
    if rate >= settings.scan_rate_cps and len(flows) >= least:
        evidence.add(CONTACT_RATE, SLIGHT, rate, settings.scan_rate_cps)


def _vertical(context: Context, flows: FlowSet, spoke: FlowSet, settings: ScanThresholds) -> Finding | None:
    """Judge one source against one host. spoke: its connections with payload."""
    dense = _densest(flows, settings.scan_window_s)
    contacts, _, ports = _contacts(dense)
    sent = int(dense.packets.sum())
    if ports < settings.scan_ports:
        return None
    if sent >= settings.scan_flood_packets and sent / dense.span_s >= settings.scan_flood_rate_pps:
        return None  # overwhelms by volume: the flood rules judge it
    tries = len(dense) / ports
    if tries > settings.scan_most_tries_times * settings.scan_tries_per_port:
        return None
    evidence = Evidence()
    host = service_host(flows)
    same_host = (spoke.column("responder_lo") == host.lo) & (spoke.column("responder_hi") == host.hi)
    successes = _successes(spoke, same_host)
    _weigh_common(evidence, dense, (contacts, successes), "ports", settings)
    if tries <= settings.scan_tries_per_port:
        evidence.add(FEW_TRIES, SLIGHT, tries, settings.scan_tries_per_port, what="port")
    shape = context.shapes.shape[flows.index]
    udp, odd = float((shape == shapes.UDP).mean()), float(np.isin(shape, (shapes.ODD_FLAGS, shapes.FIN, shapes.ACK)).mean())
    most = settings.scan_kind_share
    vector = "udp-scan" if udp > most else "stealth-scan" if odd > most else "vertical-scan"
    few = ports < settings.scan_udp_ports_times * settings.scan_ports
    if host.is_many or (vector == "udp-scan" and (few or _is_barrage(dense, settings))):
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


def _is_barrage(flows: FlowSet, settings: ScanThresholds) -> bool:
    """Return whether datagrams to many ports are not probes: probes are short, and empty or specific to each port's service."""
    mean_bytes = float(flows.column("initiator_payload_octets").sum()) / max(flows.total_packets, 1)
    alike = modal_share(flows.column("initiator_prefix")) >= settings.scan_udp_same_share
    return mean_bytes > settings.scan_udp_probe_bytes or (mean_bytes >= settings.scan_udp_same_bytes and alike)


def initiator_of(flows: FlowSet) -> Host:
    """Return the host that initiated all of these flows."""
    return flows.senders(np.zeros(1, np.int64))[0]


def _horizontal(context: Context, flows: FlowSet, spoke: FlowSet, settings: ScanThresholds) -> Finding | None:
    """Judge one source against many hosts at one port, or by echo requests."""
    if len(flows) < settings.scan_hosts:
        return None
    dense = _densest(flows, settings.scan_window_s)
    _, hosts, _ = _contacts(dense)
    if hosts < settings.scan_hosts:
        return None
    if int(dense.packets.sum()) > settings.scan_udp_host_tries * hosts and dense.column("protocol")[0] == UDP:
        return None  # too many tries for a scan: the flood rules judge it
    evidence = Evidence()
    is_echo = context.shapes.shape[flows.index[0]] == shapes.ICMP_ECHO
    if is_echo:
        # If packets are missing, replies appear without their requests.
        number_of = context.hosts.numbers.get(initiator_of(dense))
        alone = len(context.hosts.shaped(number_of, shapes.ICMP_ECHO_REPLY)) if number_of is not None else 0
        answered = min(int((dense.column("responder_packets") > 0).sum()) + alone, hosts)
        _weigh_common(evidence, dense, (hosts - answered, answered), "hosts", settings)
    else:
        successes = _successes(spoke, spoke.column("responder_port") == flows.column("responder_port")[0])
        _weigh_common(evidence, dense, (hosts, successes), "hosts", settings)
    tries = len(dense) / hosts
    if tries <= settings.scan_tries_per_port:
        evidence.add(FEW_TRIES, SLIGHT, tries, settings.scan_tries_per_port, what="host")
    _, first = number(flows.column("responder_hi"), flows.column("responder_lo"), np.zeros(len(flows), np.uint64))
    hosts_in_all = len(first)
    version, hi, lo = (flows.column(name)[first] for name in ("ip_version", "responder_hi", "responder_lo"))
    found = (Host(int(v), int(h), int(w)) for v, h, w in zip(version, hi, lo, strict=True))
    victims = list(islice((host for host in found if not host.is_many), MOST_VICTIMS))
    vector = "host-sweep" if is_echo else "udp-scan" if flows.column("protocol")[0] == UDP else "horizontal-scan"
    if len(victims) < settings.scan_hosts:
        return None
    ports = [] if is_echo else [int(flows.column("responder_port")[0])]
    return Finding(vector, victims, flows, evidence, ports, victim_count=hosts_in_all)


FAMILY = Family(
    "scans",
    "application",
    ScanThresholds,
    (
        Judge(
            "scans",
            scans,
            ("port-scan", "vertical-scan", "horizontal-scan", "stealth-scan", "udp-scan", "host-sweep"),
            (CONTACTS_FAIL, FAN_OUT, PROBES_RESET, CRAFTED_PROBE, CONTACT_RATE, FEW_TRIES),
            after=("tunnel-floods",),
        ),
    ),
)
