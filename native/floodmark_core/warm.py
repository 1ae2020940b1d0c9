"""Compile every kernel ahead of its first use by calling it on empty arrays; as a program, the half that a second process can do.

python -m floodmark_core.warm    # compiles the first half into the cache
"""

import gc
from collections.abc import Callable

import numpy as np

from floodmark_core.blanking import blanking, sketching
from floodmark_core.buffers import spans
from floodmark_core.columns import (
    ADDRESSES,
    ARRIVALS_USED_SIZE,
    DESTINATION,
    FLOW,
    MORE,
    TENTH,
    USED_SIZE,
    ArrivalTable,
    FlowRows,
    FlowTable,
    Framing,
    MoreRows,
    new_headers,
    new_interfaces,
    new_records,
    new_tally,
)
from floodmark_core.flows import (
    arrivals,
    births,
    dialogue,
    endpoints,
    flowtable,
    reader,
    shapes,
    tracing,
)
from floodmark_core.packets import (
    decode,
    duplicates,
    fragments,
    merging,
    survey,
    walk,
)
from floodmark_core.records import (
    ahead,
    carving,
    framing,
    outlining,
    resync,
    timeline,
)
from floodmark_core.tables import grouping, picking, ranking, sums, text

Call = Callable[[], object]

_SEED = np.uint64(1)


def _array(code: str, rows: int = 0) -> np.ndarray:
    return np.zeros(rows, code)


def _first_half() -> list[Call]:
    """Return calls to the packet, arrival and grouping kernels: about half of the compiler's work."""
    block, layout, records, headers = _array("u1"), framing.new_layout(), new_records(), new_headers()
    interfaces, tally, clock, ports = new_interfaces(), new_tally(), _array("i8", timeline.CLOCK_SIZE), _array("u1", 1 << 16)
    place = _array("u4")
    none = _arrivals()
    return [
        lambda: decode.decode_batch(block, 0, 0, records, ports, 0, fragments.new_fragments(), headers, tally),
        lambda: framing.frame_pcapng(block, 0, 0, layout, interfaces, records, tally),
        lambda: framing.count_drops(block, 0, 0, 0, layout, interfaces, tally),
        lambda: framing.frame_snoop(block, 0, 0, layout, records, tally),
        lambda: framing.frame_pcap(block, 0, 0, layout, records, tally),
        lambda: framing.frame_merged(block, 0, layout, records),
        lambda: framing.frame_batch(block, 0, 0, layout, interfaces, records, tally),
        lambda: arrivals.count_arrivals(0, records, headers, _SEED, none),
        lambda: timeline.advance_clock(records, 0, 0, 0, clock, tally),
        lambda: ahead.touch_records(block, 0, layout, _array("i8", ahead.CURSORS)),
        lambda: grouping.number_keys(
            _SEED, _array("u8"), _array("u8"), _array("u8"), _array("u4", 2), _array("u4", 1), _array("i4"), _array("i8")
        ),
        lambda: grouping.keep_frequent(_array("u8"), _array("u1"), 1, _array("u1", 1), 0, 1),
        lambda: grouping.count_groups(_array("i4"), 0, 0, _array("i8", 1)),
        lambda: grouping.order_by_group(_array("i4"), 0, 0, _array("i8", 1), place),
        lambda: arrivals.rebuild_index(none.rows, 0, _SEED, none.slots),
    ]


def _arrivals() -> ArrivalTable:
    return ArrivalTable(np.zeros(0, DESTINATION), np.zeros(0, TENTH), _array("u8", 2), _array("u8"), _array("i8", ARRIVALS_USED_SIZE))


def _flow_table() -> FlowTable:
    """Return a flow table without space, so that reading into it returns at once."""
    more, short = np.zeros(0, MORE), _array("u2")
    return FlowTable(
        np.zeros(0, FLOW), more, more.view(np.uint64), np.zeros(0, ADDRESSES), short, short, _array("u8", 2), _array("i8", USED_SIZE)
    )


def _flow_rows() -> FlowRows:
    return FlowRows(rows=np.zeros(0, FLOW), more=np.zeros(0, MORE), addresses=np.zeros(0, ADDRESSES), place=_array("u4"))


def _second_half() -> list[Call]:
    """Return calls to the flow, shape and text kernels: the other half."""
    block, records, headers, timeouts = _array("u1"), new_records(), new_headers(), _array("i8", 9)
    place, fields = _array("u4"), np.zeros((0, 3), np.int64)
    matcher, table = flowtable.new_matcher(1, timeouts, _array("u1", 1 << 16)), _flow_table()
    flows, more = _flow_rows(), np.zeros(1, MORE)
    more_rows = MoreRows(rows=more, words=more.view(np.uint64))
    wide, dealt = (ranking.Dealt(_array("u8", n), _array("u4", n), _array("u4", n)) for n in (1, 0))
    listed = ranking.Listed(flows=flows, hashes=_array("u8"), index=place, from_responder=_array("u1"), packets=place)
    ranked = ranking.Ranked(_array("i8"), _array("i8"), _array("i8"))
    hosts = shapes.Hosts(_array("u8"), _array("u8"), _array("u1"), _array("i4", 2), _array("i8"), np.zeros((0, shapes.SHAPES), np.int64))
    unshaped = shapes.Unshaped(flows=flows, hashes=_array("u8"), answer_kinds=_array("u1", 256))
    shaped = shapes.Shaped(_array("u1"), _array("u1"), _array("u1"), _array("i4"), _array("u4"), _array("i8", 3))
    return [
        lambda: flowtable.update_flows(block, 0, records, headers, matcher, table),
        lambda: flowtable.move_index(table.slots, _array("u8", 4)),
        lambda: shapes.list_hosts(_SEED, hosts),
        lambda: shapes.shape_flows(_SEED, unshaped, more, 0, 0, hosts, shaped),
        lambda: text.write_addresses(_array("u8"), _array("u8"), _array("u1"), _array("i4", 1), _array("u1")),
        lambda: ranking.hash_initiators(_SEED, flows, 0, 0, _array("u8")),
        lambda: ranking.count_senders(_SEED, listed, 0, 0, _array("i8", 1)),
        lambda: ranking.hash_senders(_SEED, listed, 0, 1, wide),
        lambda: ranking.deal_senders(dealt, 0, 0, _array("i8", 2), _array("i8", 2), dealt),
        lambda: ranking.rank_senders(dealt, _array("i8", 2), np.zeros((1, 4), np.uint64), ranked),
        lambda: ranking.join_rankings(ranked, ranked),
        lambda: sums.sum_flows(flows, _array("i4"), 0, 0, np.zeros((1, 3), np.int64)),
        lambda: sums.measure_flows(flows, place, _array("u1"), 0),
        lambda: picking.pick_received(_array("u1"), place, place, 0, 0, 0, _array("u1"), place),
        lambda: picking.pick_free(_array("u1"), place, 0, 0, _array("u1")),
        lambda: picking.pick_unnumbered(_array("i4"), place, 0, 0, _array("u1")),
        lambda: picking.put_number(_array("i4"), place, 0, 0, 0),
        lambda: endpoints.copy_ends(flows.rows, flows.addresses, place, _array("u8"), _array("u8"), 0),
        lambda: endpoints.copy_outer_ends(flows.rows, flows.addresses, place, np.zeros((4, 0), np.uint64)),
        lambda: endpoints.copy_first_fields(_array("u8"), place, np.zeros((0, 3), np.int64), np.zeros((1, 0), np.uint64)),
        lambda: births.order_by_birth(table.births, place, np.zeros((1, 0), np.uint16), 0, 0, np.zeros((1, 2), np.int64), 0, place),
        lambda: dialogue.copy_fields(flows.rows, more_rows, place, 0, timeouts, more_rows, fields, np.zeros((1, 0), np.uint64)),
    ]


def _walk() -> walk.Walk:
    return walk.new_walk(framing.new_layout(), _array("u1", 1 << 16), 0, 0)


def _whole() -> list[Call]:
    """Return calls to the kernels that combine the others."""
    matcher, block = flowtable.new_matcher(1, _array("i8", 9), _array("u1", 1 << 16)), _array("u1")
    decoding = reader.Decoding(_walk(), _arrivals(), duplicates.new_recent(0), new_tally(), _SEED)
    return [
        lambda: reader.decode_round(block, 0, 0, decoding, reader.new_round(1), 0),
        lambda: reader.meter_round(block, reader.new_round(1), 0, 0, matcher, _flow_table()),
    ]


def _beside() -> list[Call]:
    """Return calls to kernels that only some commands need, so that a first run of the others need not compile them."""
    matcher, longs, nbytes = flowtable.new_matcher(1, _array("i8", 9), _array("u1", 1 << 16)), _array("i8"), _array("u1")
    framed = Framing(framing.new_layout(), new_interfaces(), new_records(), new_tally())
    blanked = blanking.Blanked(nbytes, blanking.new_frames(0), sketching.new_places(0))
    bins = sums.Bins(start_ns=0, bin_ns=1.0, packets=np.zeros((1, 1)), nbytes=np.zeros((1, 1)))
    return [
        lambda: tracing.trace_block(nbytes, 0, 0, _walk(), matcher, _flow_table(), new_tally(), tracing.new_traced()),
        lambda: sums.spread_flows(_flow_rows(), _array("i4"), bins),
        lambda: carving.copy_blocks(nbytes, 0, 0, 0, 0, carving.Chosen(nbytes, nbytes, nbytes), nbytes),
        lambda: carving.write_packets(nbytes, 0, carving.Packets(longs, longs, longs, longs, _array("u4")), nbytes, nbytes),
        lambda: outlining.outline_block(nbytes, 0, 0, framed, outlining.Spans(longs, longs, nbytes)),
        lambda: blanking.blank_block(nbytes, 0, 0, framed, 0, True, blanked),
        lambda: blanking.repair_checksums(nbytes, sketching.new_places(0), True),
        lambda: sketching.mark_wrong_words(nbytes, sketching.new_places(0), nbytes),
        lambda: spans.gather_spans(nbytes, longs, longs, nbytes),
        lambda: spans.place_spans(nbytes, longs, longs, nbytes, nbytes),
        lambda: spans.mark_spans(longs, longs, nbytes),
        lambda: survey.survey_block(_array("u1"), 0, 0, _walk(), survey.new_survey(), new_tally()),
        lambda: resync.next_record(_array("u1"), 0, framing.new_layout(), True),
        lambda: merging.extract_block(nbytes, 0, 0, 0, _walk(), new_tally(), merging.Extracted(nbytes, longs, _array("i8", 1))),
        lambda: merging.gather_records(_array("u1"), _array("i8"), _array("i8"), _array("i8"), _array("u1")),
    ]


def compile_first_half() -> None:
    """Compile the half that :func:`compile_rest` leaves out and finds in the cache."""
    _run(_first_half())


def compile_rest() -> None:
    """Compile the other half."""
    _run(_second_half())


def compile_whole() -> None:
    """Compile the kernels that classification needs, or load them from the cache."""
    _run(_first_half() + _second_half() + _whole())


def compile_beside() -> None:
    """Compile the kernels that only some commands need."""
    _run(_beside())


def _run(calls: list[Call]) -> None:
    collecting = gc.isenabled()
    gc.disable()  # the compiler creates millions of objects and few cycles: collecting takes a tenth of its time
    try:
        for call in calls:
            call()
    finally:
        if collecting:
            gc.enable()


if __name__ == "__main__":
    compile_first_half()
