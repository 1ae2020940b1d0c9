"""The forms in which rules are written, and what each can express."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from floodmark.mitigation.bpf import write_bpf
from floodmark.mitigation.filters import Filter
from floodmark.mitigation.flowspec import write_flowspec
from floodmark.mitigation.nftables import write_nftables
from floodmark.mitigation.suricata import write_suricata


@dataclass(frozen=True)
class Form:
    """A form of rules."""

    terms: Collection[str]  # fields of Filter that it can express
    most_sources: int  # networks in a rule
    write: Callable[[Filter, str, int], str]  # (filter, purpose, number of the event) -> text
    lengths_of: Collection[int] | None = None  # protocols whose lengths it can match; None: all


def _write_cidr(chosen: Filter, what: str, _: int) -> str:
    return "\n".join([f"# {what}", *(str(network) for network in chosen.sources)]) + "\n"


_EVERY = frozenset(Filter.__dataclass_fields__)
FORMS: dict[str, Form] = {
    "flowspec": Form(_EVERY - {"ttls", "no_options"}, 50, write_flowspec),
    "nftables": Form(_EVERY, 1000, write_nftables),
    "suricata": Form(_EVERY, 200, write_suricata, lengths_of=(17,)),
    "bpf": Form(_EVERY, 100, write_bpf),
    "cidr": Form(frozenset({"sources"}), 1000, _write_cidr),
}
