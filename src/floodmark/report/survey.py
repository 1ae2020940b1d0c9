"""Print an inspection of a capture."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from floodmark.base.escaping import shown
from floodmark.report.text import amount, duration, moment, problem_table
from floodmark.result.inspection import Inspection

_MOST = 12  # lines of one kind


def render_inspection(found: Inspection, console: Console) -> None:
    """Print an inspection to a console."""
    console.print(Text(shown(found.path), style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in _lines(found):
        table.add_row(name, Text(value))
    console.print(table)
    for title, counts in (("protocol", found.protocols), ("not IP", found.packets_not_ip), ("refused", found.packets_refused)):
        if counts:
            console.print(Text(), _counts(title, counts, found.packets))
    if found.problems:
        console.print(Text(), problem_table([(found, problem) for problem in found.problems], several=False))


def _lines(found: Inspection) -> Iterator[tuple[str, str]]:
    form = found.format if found.compression is None else f"{found.format}, compressed with {found.compression}"
    yield "container", f"{form}, {found.nbytes:,} bytes{' unpacked' if found.compression else ''}"
    if found.sha256:
        yield "SHA-256", found.sha256
    yield "link types", ", ".join(found.link_types) or "-"
    for number, interface in enumerate(found.interfaces[:_MOST]):
        limit = f"snap length {interface.snaplen:,} bytes" if interface.snaplen else "no snap length"
        yield f"interface {number}", f"{interface.link_type}, {limit}, {interface.ticks_per_second:,.0f} ticks a second"
    yield "packets", f"{found.packets:,}, {amount(found.bytes)}B on the wire"
    if found.first_seen_ns is not None and found.last_seen_ns is not None:
        span_s = (found.last_seen_ns - found.first_seen_ns) / 1e9
        rate = f", {found.packets / span_s:,.0f} packets a second" if span_s > 0 else ""
        yield "times", f"{moment(found.first_seen_ns)} to {moment(found.last_seen_ns)} UTC: {duration(span_s)}{rate}"
    if found.longest_gap_begins_ns is not None:
        yield "longest gap", f"{duration(found.longest_gap_ns / 1e9)} from {moment(found.longest_gap_begins_ns)} UTC"
    shares = (
        ("IPv6", found.ipv6),
        ("VLAN tags", found.tagged),
        ("fragments", found.fragments),
        ("truncated by snap length", found.snaplen_cut),
        ("duplicates", found.duplicates),
        ("wrong IP checksum", found.ip_checksum_bad),
        ("wrong transport checksum", found.transport_checksum_bad),
        *(("in " + name, count) for name, count in found.tunnels.items()),
    )
    for name, count in shares:
        if count:
            yield name, f"{count:,} packets, {count / found.packets:.1%}"


def _counts(title: str, counts: dict[str, int], packets: int) -> Table:
    table = Table(title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("packets", justify="right")
    table.add_column("share", justify="right")
    for name, count in list(counts.items())[:_MOST]:
        table.add_row(name, f"{count:,}", f"{count / packets:.1%}")
    if len(counts) > _MOST:
        table.caption = f"{len(counts) - _MOST} more: see --format json"
    return table
