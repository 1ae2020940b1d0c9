"""Every flow has every column, whether its table row holds one packet or points to more."""

import numpy as np
import pytest

from builders import MILLISECOND, SECOND, connection, metered, syn_flood, tcp, udp
from floodmark.flows.flows import COLUMNS, Flows
from floodmark_core import kinds


@pytest.fixture(scope="module")
def flows() -> Flows:
    """A connection, a datagram, and a SYN flood of more flows than are completed at a time."""
    return metered([*connection(0), udp(20 * MILLISECOND), *syn_flood(9000, SECOND)])[0]


def everything(flows: Flows) -> np.ndarray:
    return np.arange(len(flows))


def test_there_are_as_many_flows_as_rows(flows: Flows) -> None:
    assert len(flows) == 9002


def test_only_flows_of_several_packets_have_a_second_row(flows: Flows) -> None:
    assert flows.tables.rows["more_row"][flows.tables.place].nonzero()[0].tolist() == [0]


def test_a_column_of_the_first_packet_is_the_tables_own(flows: Flows) -> None:
    assert flows.column("protocol", np.array([0, 1, 2])).tolist() == [6, 17, 6]


def test_a_column_of_all_packets_is_made_for_one_packet_flows_too(flows: Flows) -> None:
    assert flows.column("initiator_packets", np.array([0, 1, 2])).tolist() == [5, 1, 1]


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_has_a_value_for_every_flow(flows: Flows, name: str) -> None:
    assert flows.column(name, everything(flows)).shape == (9002,)


def test_flows_may_be_asked_for_in_any_order_and_twice(flows: Flows) -> None:
    assert flows.column("responder_packets", np.array([1, 0, 0, 1])).tolist() == [0, 5, 5, 0]


def test_rows_completed_in_pieces_are_those_completed_at_once(flows: Flows) -> None:
    index = everything(flows)
    whole = flows.columns(index)
    assert all((flows.column(name, index) == whole[name]).all() for name in COLUMNS)


def test_no_flow_gives_no_row(flows: Flows) -> None:
    assert len(flows.column("stage", np.array([], np.int64))) == 0


def test_a_one_packet_flow_ends_when_it_began(flows: Flows) -> None:
    seen = flows.columns(np.array([1]), ("first_seen_ns", "last_seen_ns"))
    assert seen["last_seen_ns"].tolist() == seen["first_seen_ns"].tolist()


def test_a_one_packet_flow_that_was_an_answer_counts_for_the_responder() -> None:
    synack = tcp(0, ports=(80, 40000), flags=kinds.SYN | kinds.ACK)
    more = metered([synack])[0].columns(np.array([0]))
    assert (more["initiator_packets"].tolist(), more["responder_packets"].tolist()) == ([0], [1])


def test_a_flow_silent_for_longer_than_its_timeout_before_the_end_is_over() -> None:
    flows = metered([udp(0), udp(61 * SECOND, ports=(1, 2))])[0]
    assert flows.column("end_reason", np.array([0, 1])).tolist() == [kinds.END_IDLE, kinds.END_CAPTURE]
