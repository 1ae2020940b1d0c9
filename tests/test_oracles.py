"""Every kernel of the core is compared with something written another way, or has tests of what it must do: this is the list of where.

A file of tests/reference is an oracle: a property test compares its function with the core. In the other files the word is the kernel
itself where a test calls it, or else the function of the program, or of the core, through which the test reaches it.
"""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import floodmark_core
from floodmark_core._jit import Kernel

HERE = Path(__file__).parent
# file of tests: for each word in it, the kernels that it stands for; "" for kernels under their own names
SHOWN_BY: dict[str, dict[str, str]] = {
    "reference/framing.py": {
        "read_pcap": "frame_pcap",
        "read_snoop": "frame_snoop",
        "read_pcapng": "frame_pcapng",
        "newly_dropped": "count_drops",
        "frames": "frame_batch",
    },
    "reference/timeline.py": {"CaptureClock": "advance_clock"},
    "reference/links.py": {
        "unwrap": "unwrap link_header",
        "unwrap_from": "unwrap_from",
        "ieee80211": "radio_frame",
        "radiotap_flags": "radiotap_is_padded",
        "nflog": "nflog_payload",
        "llc": "logical_link",
        "mpls": "label_stack",
    },
    "reference/tunnels.py": {"gre": "in_gre", "gtp": "in_gtp", "l2tp": "in_l2tp", "teredo": "in_teredo", "inner": "inner_packet"},
    "reference/decode.py": {"decode": "decode_batch"},
    "reference/flows.py": {"meter": "update_flows decode_round meter_round"},
    "reference/arrivals.py": {"arrivals": "count_arrivals rebuild_index"},
    "reference/comparing.py": {"flow_columns": "copy_fields", "first_columns": "first_word", "name_word": "dns_name_word"},
    "property/test_small_kernels.py": {
        "": "gather_spans place_spans mark_spans gather_records pick_received pick_free pick_unnumbered put_number keep_frequent "
        "order_by_birth sum_flows spread_flows copy_ends copy_outer_ends copy_first_fields move_index touch_records list_hosts"
    },
    "unit/test_payload.py": {"": "udp_code tcp_code count_frames head_ends request_target", "udp_code": "udp_by_port udp_anywhere"},
    "unit/test_flowset.py": {
        "": "write_addresses",
        "number": "number_keys",
        "split": "count_groups order_by_group",
        "ranked_sources": "hash_initiators count_senders hash_senders deal_senders rank_senders join_rankings",
        "measure": "measure_flows",
    },
    "unit/test_merging.py": {"MergedReader": "frame_merged extract_block"},
    "unit/test_carving.py": {"carve": "copy_blocks"},
    "unit/test_anonymising.py": {
        "anonymise": "write_packets blank_block blank_packets blank_frame blank_link blank_ipv4 blank_ipv6 blank_tcp blank_transport "
        "blank_udp_tunnel blank_between repair_checksums sketch sketch_request sketch_fields sketch_question sketch_recognised sketch_text "
        "keep_empty_lines keep_frames code_of mark_wrong_words"
    },
    "unit/test_bundle.py": {"make": "outline_block"},
    "unit/test_keep_going.py": {"keep_going": "next_record"},
    "unit/test_inspection.py": {"inspect": "survey_block"},
    "unit/test_explaining.py": {"sample_packets": "trace_block"},
    "unit/test_calm.py": {"answer": "shape_flows"},
}
SHOWN = [(kernel, file, word or kernel) for file, words in SHOWN_BY.items() for word, named in words.items() for kernel in named.split()]


def kernels() -> set[str]:
    """Return the names of all compiled functions of the core but the steps inside their loops."""
    found: list[tuple[str, Kernel[..., Any]]] = []
    for module in pkgutil.walk_packages(floodmark_core.__path__, "floodmark_core."):
        here = vars(importlib.import_module(module.name)).items()
        found += [(name, value) for name, value in here if isinstance(value, Kernel) and value.__module__ == module.name]
    return {name for name, value in found if not value.forceinline}


def test_every_kernel_is_in_the_list_and_nothing_else() -> None:
    assert {kernel for kernel, _, _ in SHOWN} == kernels()


@pytest.mark.parametrize(("kernel", "file", "word"), SHOWN, ids=[kernel for kernel, _, _ in SHOWN])
def test_the_file_that_shows_a_kernel_speaks_of_it(kernel: str, file: str, word: str) -> None:
    assert re.search(rf"\b{word}\b", (HERE / file).read_text(encoding="utf-8")), (
        f"{file} does not show {kernel}: nothing there is named {word}"
    )


@pytest.mark.parametrize("file", [file for file in SHOWN_BY if file.startswith("reference/")])
def test_an_oracle_calls_nothing_compiled(file: str) -> None:
    text = (HERE / file).read_text(encoding="utf-8")
    assert file == "reference/comparing.py" or "floodmark_core" not in re.sub(r"from floodmark_core(\.\w+)* import [A-Z_, ]+\n", "", text)
