"""Sets of flows count what plain Python counts: sources and their ranking, groups, modes, rates."""

import ipaddress
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import CLIENT, SECOND, SERVER, START_NS, answer, metered, pcap, tcp, udp
from floodmark.base import workers
from floodmark.base.workers import Workers
from floodmark.flows.flows import Flows, listed
from floodmark.flows.flowset import (
    FlowSet,
    Host,
    distinct,
    modal_share,
    number,
    split,
    top_ports,
)
from floodmark_core.columns import I64
from floodmark_core.tables.text import LONGEST, write_addresses
from property.strategies import PROFILE

LAST64 = 2**64 - 1


def flow_set(flows: Flows, index: I64 | None = None, from_responder: np.ndarray | None = None) -> FlowSet:
    """Wrap flows, all of them unless listed, seen from their responders unless said otherwise."""
    index = np.arange(len(flows)) if index is None else index
    back = np.zeros(len(index), bool) if from_responder is None else from_responder
    packets = np.where(back, flows.column("responder_packets", index), flows.column("initiator_packets", index))
    return FlowSet(flows, listed(index), back, packets.astype(np.uint32))


def many_sources(seed: int, flows: int = 3000) -> Flows:
    """Make UDP flows of one to four packets from sources of which some send far more than others, and many as much as others."""
    rng = random.Random(seed)
    six = 0x20010DB8 << 96
    packets = []
    for place in range(flows):
        source = min(int(rng.paretovariate(0.4)), 700)
        source = six + (source << 64) + source if rng.random() < 0.3 else 0x0B000000 + source
        target = SERVER if source < six else six + 0xA
        ports = (1024 + place, 9)
        packets += [udp(place * 1000 + turn, source, target, ports) for turn in range(rng.choice((1, 1, 2, 4)))]
    return metered(sorted(packets))[0]


def counted(flows: FlowSet) -> list[tuple[str, int, int]]:
    """Rank senders with a Counter: most packets first, of equals the one whose first flow is earlier."""
    packets: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    first: dict[str, int] = {}
    for place, (version, hi, lo) in enumerate(zip(flows.column("ip_version"), flows.sent("hi"), flows.sent("lo"), strict=True)):
        host = str(Host(int(version), int(hi), int(lo)))
        packets[host] += int(flows.packets[place])
        rows[host] += 1
        first.setdefault(host, place)
    ordered = sorted(packets, key=lambda host: (-packets[host], first[host]))
    return [(host, packets[host], rows[host]) for host in ordered]


def ranked(flows: FlowSet) -> list[tuple[str, int, int]]:
    return [(str(source.host), source.packets, source.flows) for source in flows.ranked_sources[1]]


@pytest.mark.parametrize("seed", range(5))
def test_sources_are_as_many_as_a_counter_finds(seed: int) -> None:
    flows = flow_set(many_sources(seed))
    assert flows.source_count == len(counted(flows))


@pytest.mark.parametrize("seed", range(5))
def test_sources_are_ranked_as_a_counter_ranks_them_with_ties_by_first_flow(seed: int) -> None:
    flows = flow_set(many_sources(seed))
    assert ranked(flows) == counted(flows)[:20]


@pytest.mark.parametrize("seed", range(3))
def test_sources_of_some_flows_in_either_direction_are_ranked_alike(seed: int) -> None:
    flows, rng = many_sources(seed), np.random.default_rng(seed)
    index = np.sort(rng.choice(len(flows), 1000, replace=False))
    chosen = flow_set(flows, index, rng.random(1000) < 0.5)
    assert ranked(chosen) == counted(chosen)[:20]


@pytest.mark.parametrize("threads", [2, 5])
def test_sources_are_ranked_alike_by_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_FEWEST_ROWS", 10)
    flows = many_sources(3)
    alone = flow_set(flows)
    back = np.arange(len(flows)) % 3 == 0
    with Workers(threads) as pool:
        flows.workers = pool
        together = flow_set(flows)
        assert ranked(together) == ranked(alone)
        assert together.source_count == alone.source_count
        mixed = flow_set(flows, from_responder=back)
        several = mixed.ranked_sources
    flows.workers = Workers()
    assert flow_set(flows, from_responder=back).ranked_sources == several


def test_of_sources_that_all_sent_the_same_the_earliest_are_named() -> None:
    flows = flow_set(metered([udp(place, 0x0B000000 + place * 7919 % 1000, ports=(5, 9)) for place in range(1000)])[0])
    assert ranked(flows) == counted(flows)[:20]


def test_fewer_sources_than_are_named_are_all_named() -> None:
    flows = flow_set(metered([udp(0, CLIENT), udp(1, CLIENT + 1), udp(2, CLIENT, ports=(7, 9))])[0])
    assert ranked(flows) == [("198.51.100.1", 2, 2), ("198.51.100.2", 1, 1)]


def test_addresses_of_both_versions_with_equal_numbers_are_two_sources() -> None:
    flows = flow_set(metered([udp(0, CLIENT), *[udp(1, (1 << 64) | CLIENT, (1 << 64) | 9)]])[0])
    assert flows.source_count == 2


def test_an_ipv6_source_that_looks_like_an_ipv4_one_in_its_words_is_another_source() -> None:
    flows = metered([udp(0, CLIENT), udp(1, (1 << 64) | CLIENT, (1 << 64) | 9)])[0]
    addresses = flows.tables.addresses.copy()
    addresses["initiator_hi"] = 0  # ::198.51.100.1
    tables = flows.tables._replace(addresses=addresses)
    assert flow_set(Flows(tables, 0, np.full(9, LAST64 >> 1, np.int64))).source_count == 2


WORDS = st.sampled_from([0, 1, 2, LAST64, 1 << 63])


@settings(PROFILE, max_examples=200)
@given(keys=st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=600))
def test_equal_keys_get_one_number_in_order_of_appearance(keys: list[tuple[int, int, int]]) -> None:
    columns = np.array(keys, np.uint64).reshape(len(keys), 3)
    groups, leaders = number(*(columns[:, place].copy() for place in range(3)))
    order = list(dict.fromkeys(keys))
    assert groups.tolist() == [order.index(key) for key in keys]
    assert leaders.tolist() == [keys.index(key) for key in order]


@settings(PROFILE, max_examples=200)
@given(groups=st.lists(st.integers(-1, 5), max_size=50))
def test_rows_are_split_by_group_in_their_own_order(groups: list[int]) -> None:
    starts, order = split(np.array(groups, np.int32), 6)
    found = [order[starts[group] : starts[group + 1]].tolist() for group in range(6)]
    assert found == [[row for row, group in enumerate(groups) if group == wanted] for wanted in range(6)]


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i8"])
@pytest.mark.parametrize("seed", range(3))
def test_the_modal_share_is_that_of_the_most_common_value(dtype: str, seed: int) -> None:
    values = np.array(random.Random(seed).choices(range(100), k=500), dtype)
    assert modal_share(values) == Counter(values.tolist()).most_common(1)[0][1] / 500


def test_the_modal_share_of_nothing_is_zero() -> None:
    assert modal_share(np.array([], np.uint32)) == 0.0


def test_the_modal_share_of_equal_values_is_one() -> None:
    assert modal_share(np.full(10, LAST64, np.uint64)) == 1.0


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
def test_distinct_values_are_as_many_as_a_set_holds(dtype: str) -> None:
    values = np.array([0, 3, 3, 200, 0, 255], dtype)
    assert distinct(values) == 4


def test_top_ports_are_the_most_frequent_and_of_equals_the_lowest() -> None:
    assert top_ports(np.array([80, 443, 80, 22, 443, 53, 65535], np.uint16), 4) == [80, 443, 22, 53]


def test_no_ports_give_no_top_port() -> None:
    assert top_ports(np.array([], np.uint16)) == []


@pytest.fixture(scope="module")
def asked() -> FlowSet:
    """Three datagrams: two of one flow, with an answer between them, and one of another two seconds later."""
    back = udp(SECOND // 2, SERVER, CLIENT, (9, 40000), b"a longer answer")
    return flow_set(metered([udp(0), back, udp(SECOND), udp(3 * SECOND, ports=(40001, 9))])[0])


def test_packets_are_those_that_the_sender_sent(asked: FlowSet) -> None:
    assert (asked.packets.tolist(), asked.total_packets) == ([2, 1], 3)


def test_bytes_are_those_that_the_sender_sent(asked: FlowSet) -> None:
    assert asked.nbytes == 3 * 33


def test_the_span_reaches_from_the_first_packet_to_the_last(asked: FlowSet) -> None:
    assert (asked.first_ns, asked.last_ns, asked.span_s) == (START_NS, START_NS + 3 * SECOND, 3.0)


def test_the_mean_rate_is_packets_over_the_span(asked: FlowSet) -> None:
    assert asked.mean_rate_pps == pytest.approx(1.0)


def test_a_pause_longer_than_the_gap_is_counted(asked: FlowSet) -> None:
    assert [asked.measure(gap)[3] for gap in (SECOND, 2 * SECOND - 1, 2 * SECOND)] == [1, 1, 0]


def test_the_sender_is_the_responder_where_the_flow_is_seen_from_the_initiator(asked: FlowSet) -> None:
    back = flow_set(asked.flows, asked.index, np.array([True, False]))
    assert back.sent("port").tolist() == [9, 40001]
    assert back.received("port").tolist() == [40000, 9]
    assert back.nbytes == 43 + 33


def test_where_keeps_the_flows_of_the_mask(asked: FlowSet) -> None:
    assert asked.where(np.array([False, True])).sent("port").tolist() == [40001]


def test_joined_sets_stand_in_order_of_rows(asked: FlowSet) -> None:
    one, other = asked.where(np.array([True, False])), asked.where(np.array([False, True]))
    assert other.joined(one).index.tolist() == [0, 1]
    assert other.joined(one).packets.tolist() == [2, 1]


def test_receivers_are_the_distinct_ends_that_received(asked: FlowSet) -> None:
    assert {str(host) for host in asked.receivers(10)} == {"203.0.113.10"}


def test_receivers_beyond_the_most_asked_for_are_counted_though_not_named() -> None:
    flows = metered([udp(place, CLIENT, SERVER + place, (40000 + place, 9)) for place in range(5)])[0]
    sweep = flow_set(flows)
    assert [host.lo - SERVER for host in sweep.receivers(2)] == [0, 1]
    assert sweep.receiver_count == 5


def test_the_busiest_stretch_counts_where_the_rest_is_quiet() -> None:
    burst = [tcp(place * 1_000_000, CLIENT + place) for place in range(1000)]
    tail = [tcp(SECOND * (60 + place), CLIENT + 5000 + place) for place in range(20)]
    assert flow_set(metered([*burst, *tail])[0]).busiest_rate_pps == pytest.approx(1000, rel=0.05)


def test_equal_ttls_are_one_ttl_in_effect() -> None:
    assert flow_set(metered([udp(place, CLIENT + place) for place in range(30)])[0]).effective_ttls() == pytest.approx(1.0)


def test_a_set_of_more_flows_than_a_share_needs_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floodmark.flows.flowset.SAMPLE", 100)
    flows = flow_set(metered([udp(place, CLIENT + place) for place in range(1000)])[0])
    assert flows.sample.index.tolist() == list(range(0, 1000, 10))


def as_the_table_writes(host: Host) -> str:
    offsets, out = np.empty(2, np.int32), np.empty(LONGEST, np.uint8)
    columns: list[Any] = [np.array([host.hi], np.uint64), np.array([host.lo], np.uint64), np.array([host.version], np.uint8)]
    return out[: write_addresses(*columns, offsets, out)].tobytes().decode()


@settings(PROFILE, max_examples=200)
@given(
    host=st.one_of(
        st.builds(Host, st.just(4), st.just(0), st.integers(0, 2**32 - 1), st.just(0)),
        st.builds(Host, st.just(6), WORDS, WORDS, st.just(0)),
    )
)
def test_a_host_is_written_as_the_flow_table_writes_it(host: Host) -> None:
    assert str(host) == as_the_table_writes(host)


def test_an_ipv4_mapped_address_is_written_as_the_flow_table_writes_it() -> None:
    mapped = int(ipaddress.IPv6Address("::ffff:198.51.100.1"))
    assert str(Host(6, 0, mapped)) == as_the_table_writes(Host(6, 0, mapped))


@pytest.mark.parametrize(
    ("text", "many"),
    [("224.0.0.1", True), ("239.255.255.250", True), ("255.255.255.255", True), ("223.255.255.255", False), ("240.0.0.1", False),
     ("10.0.0.255", False), ("ff02::1", True), ("fe80::1", False)],
)  # fmt: skip
def test_multicast_and_broadcast_are_no_single_host(text: str, many: bool) -> None:
    address = ipaddress.ip_address(text)
    assert Host(address.version, int(address) >> 64, int(address) & LAST64).is_many is many


def test_top_sources_of_an_event_are_those_of_a_counter() -> None:
    packets = [
        tcp(place * 100_000, CLIENT + min(int(random.Random(place).paretovariate(0.5)), 400), ports=(1024 + place, 80))
        for place in range(3000)
    ]
    [event] = answer(pcap(packets)).events
    sent = Counter(int.from_bytes(packet.frame[26:30], "big") for packet in packets)
    assert event.sources == len(sent)
    assert [source.packets for source in event.top_sources] == [count for _, count in sent.most_common(20)]
