"""Print a result: what was read, the classes, the events with their reasons, and problems in the captures."""

from datetime import UTC, datetime

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from floodmark.base.escaping import shown
from floodmark.captures.problems import Problem
from floodmark.claims.assets import AssetSummary
from floodmark.events.events import Event
from floodmark.events.makeup import Makeup, Share
from floodmark.result.inspection import Inspection
from floodmark.result.result import CaptureSummary, Result
from floodmark.vocabulary.vectors import Verdict, title_of

_COLOURS = {Verdict.VOLUMETRIC: "red", Verdict.APPLICATION_LAYER: "yellow", Verdict.BENIGN: "green"}
_MOST_EVENTS = 20
_MOST_REASONS = 4
_MOST_NAMED = 3  # vectors
_WORTH_SAYING = 0.2  # smallest share of an attack's packets for a common value to be named
_MUCH_ORDINARY = 0.001  # smallest share of ordinary packets among those with a value to be named
_MANY_DUPLICATES = 0.05  # share of the packets
_WIDE, _NARROW = 136, 72  # console widths from which tables have more columns
_VICTIM_WIDTH = 15  # of an IPv4 address; longer addresses take several lines
_SPARKS, _FEW_SPARKS = 16, 8  # bars of a sparkline
_BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_UNITS = ("", "k", "M", "G", "T")


def render(result: Result, console: Console, assets: tuple[AssetSummary, ...] = ()) -> None:
    """Print a result to a console. assets: summaries, if requested."""
    console.print(Group(*_parts(result, assets, console.width, pictures=console.encoding.startswith("utf"))))


def _parts(result: Result, assets: tuple[AssetSummary, ...], width: int, *, pictures: bool) -> list[RenderableType]:
    parts: list[RenderableType] = [headline(result), _capture_lines(result), Text(), _classes(result)]
    if assets:
        parts += [Text(), _assets(assets)]
    if result.events:
        parts += [Text(), _events(result, width, pictures=pictures)]
        for event in result.events[:_MOST_EVENTS]:
            parts += [Text(), _reasons(event)]
    problems: list[tuple[CaptureSummary | Inspection, Problem]] = [
        (capture, problem) for capture in result.captures for problem in capture.problems
    ]
    if problems:
        parts += [Text(), problem_table(problems, several=len(result.captures) > 1)]
    notes = [*_profile_notes(result), *result.notes]
    if notes:
        parts += [Text(), *(Text(f"note: {shown(note)}", style="dim") for note in notes)]
    return parts


def headline(result: Result) -> Text:
    """Return the result in a sentence: the largest attack, its victim, rates, time, number of sources and confidence."""
    if not result.totals.packets_in_flows:
        return Text("No flow to classify.", style="bold")
    if not result.events:
        return Text("No attack found.", style="bold green")
    worst = max(result.events, key=lambda event: event.packets)
    text = Text(f"{sentence(worst)}.", style=f"bold {_COLOURS[worst.verdict]}")
    others = len(result.events) - 1
    if others:
        text.append(f"\n{others} more {'events' if others > 1 else 'event'}, listed below.", style="default")
    return text


def sentence(event: Event) -> str:
    """Return an event in a sentence without its full stop."""
    kind = "Volumetric" if event.verdict is Verdict.VOLUMETRIC else "Application-layer"
    sources = f"{event.sources:,} source{'s' if event.sources != 1 else ''}"
    return (
        f"{kind} attack on {_victims(event)}: {title_of(event.vector)}, peak {amount(event.peak_pps)}pps / {amount(event.peak_bps)}bit/s, "
        f"{period(event.start_ns, event.end_ns)}, {sources}, confidence {_confidence(event)}"
    )


def period(start_ns: int, end_ns: int) -> str:
    """Return a period to the second, in UTC; the date once if start and end share it."""
    start, end = (datetime.fromtimestamp(time_ns // 10**9, UTC) for time_ns in (start_ns, end_ns))
    until = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{start:%Y-%m-%d %H:%M:%S}\u2013{until} UTC"


def _confidence(event: Event) -> str:
    return f"{min(event.confidence, 0.99):.2f}"  # nothing is certain


def _capture_lines(result: Result) -> Text:
    totals, captures = result.totals, result.captures
    name = shown(captures[0].path) if len(captures) == 1 else f"{len(captures)} captures"
    text = Text(f"{name}: {totals.packets:,} packets, {amount(totals.bytes)}B on the wire, {totals.flows:,} flows")
    firsts = [capture.first_seen_ns for capture in captures if capture.first_seen_ns is not None]
    if firsts:
        text.append(f", {duration(result.profile.span_s)} from {moment(min(firsts))} UTC")
    apart = [f"{sum(totals.packets_not_ip.values()):,} not IP"] if totals.packets_not_ip else []
    apart += [f"{sum(totals.packets_refused.values()):,} malformed or of unknown link type"] if totals.packets_refused else []
    if apart:
        text.append(f"\npackets that belong to no flow: {', '.join(apart)}")
    return text


def _classes(result: Result) -> Table:
    table = Table("verdict", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("flows", "packets", "bytes", "share of packets"):
        table.add_column(name, justify="right")
    total = sum(count.packets for count in result.verdicts.values())
    for verdict, count in result.verdicts.items():
        share = f"{count.packets / total:.1%}" if total else "-"
        style = _COLOURS[Verdict(verdict)] if count.flows else "dim"
        table.add_row(Text(verdict, style=style), f"{count.flows:,}", f"{count.packets:,}", f"{amount(count.bytes)}B", share)
    return table


def _assets(assets: tuple[AssetSummary, ...]) -> Table:
    """Return the assets as a table."""
    table = Table("asset", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("events", "attack packets", "benign packets", "attack peak"):
        table.add_column(name, justify="right")
    table.add_column("first attack (UTC)")
    table.add_column("protocols")
    for asset in assets:
        attack = sum(count.packets for verdict, count in asset.verdicts.items() if verdict != Verdict.BENIGN)
        table.add_row(
            Text(shown(asset.title), style="bold" if attack else ""),
            f"{len(asset.events):,}",
            f"{attack:,}",
            f"{asset.verdicts[Verdict.BENIGN].packets:,}",
            f"{amount(asset.peak_pps)}pps",
            "-" if asset.first_attack_ns is None else moment(asset.first_attack_ns),
            ", ".join(list(asset.services)[:3]),
        )
    return table


def _events(result: Result, width: int, *, pictures: bool) -> Table:
    """Return the events as a table, with fewer columns on a narrow console."""
    events = result.events
    longer = max(
        max(len(_victims(event)) for event in events[:_MOST_EVENTS]) - _VICTIM_WIDTH, 0
    )  # an address on two lines cannot be copied
    wide = width >= _WIDE + longer
    table = Table("#", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("vector", no_wrap=wide)
    table.add_column("victim", overflow="fold", min_width=min(_VICTIM_WIDTH + longer, width // 2) if width >= _NARROW else None)
    if wide:
        table.add_column("start (UTC)", no_wrap=True)
        table.add_column("lasts", justify="right", no_wrap=True)
    table.add_column("packets", justify="right", no_wrap=True)
    table.add_column("peak", justify="right", no_wrap=True)
    if wide:
        table.add_column("sources", justify="right", no_wrap=True)
    timeline = result.flows.timeline(_SPARKS if wide else _FEW_SPARKS) if pictures and width >= _NARROW + longer else None
    if timeline is not None:
        table.add_column("rate", no_wrap=True)
    table.add_column("conf", justify="right", no_wrap=True)
    for event in events[:_MOST_EVENTS]:
        when = (moment(event.start_ns), duration((event.end_ns - event.start_ns) / 1e9)) if wide else ()
        peak = f"{amount(event.peak_pps)}pps {amount(event.peak_bps)}b/s" if wide else f"{amount(event.peak_pps)}pps"
        table.add_row(
            str(event.id),
            Text(event.vector, style=_COLOURS[event.verdict]),
            Text(_victims(event)),
            *when,
            f"{event.packets:,}",
            peak,
            *([f"{event.sources:,}"] if wide else []),
            *([sparkline(timeline.of_event(event.id))] if timeline is not None else []),
            _confidence(event),
        )
    if len(events) > _MOST_EVENTS:
        table.caption = f"{len(events) - _MOST_EVENTS} more: see --format json"
    return table


def sparkline(amounts: np.ndarray) -> str:
    """Return amounts as a line of bars, scaled to the largest; a space for zero."""
    most = float(amounts.max()) if len(amounts) else 0.0
    if most <= 0:
        return " " * len(amounts)
    return "".join(" " if value <= 0 else _BARS[min(int(value / most * len(_BARS)), len(_BARS) - 1)] for value in amounts.tolist())


def _reasons(event: Event) -> Text:
    text = Text(f"why #{event.id}", style="bold")
    for reason in event.reasons[:_MOST_REASONS]:
        text.append(f"\n  - {reason.text}", style="not bold")
    if made := made_of(event.makeup):
        text.append(f"\n  - common to its packets: {made}", style="not bold")
    for note in event.notes[:2]:
        text.append(f"\n  ({note})", style="not bold dim")
    return text


def made_of(makeup: Makeup) -> str:
    """Return on one line what most of an attack's packets have in common."""
    kinds = (
        ("destination port", makeup.ports), ("source port", makeup.source_ports), ("source prefix", makeup.prefixes),
        ("payload", makeup.payloads), ("IP bytes", makeup.packet_octets), ("first TTL", makeup.ttls),
    )  # fmt: skip
    common = [(what, [_share(each) for each in shares[:3] if each.share >= _WORTH_SAYING]) for what, shares in kinds]
    return "; ".join(f"{what} {', '.join(parts)}" for what, parts in common if parts)


def _share(part: Share) -> str:
    ordinary = (
        f" ({part.ordinary:.1%} of such packets are ordinary)" if part.ordinary is not None and part.ordinary >= _MUCH_ORDINARY else ""
    )
    return f"{part.value} in {part.share:.0%}{ordinary}"


def problem_table(problems: list[tuple[CaptureSummary | Inspection, Problem]], *, several: bool) -> Table:
    """Return the problems of captures as a table. several: name the capture of each."""
    columns = ["problem in the capture", *(["capture"] if several else [])]
    table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("count", justify="right")
    table.add_column("first at byte", justify="right")
    for capture, problem in problems[:_MOST_EVENTS]:
        offset = "-" if problem.first_offset is None else f"{problem.first_offset:,}"
        path = [Text(shown(capture.path))] if several else []  # as Text: a name may look like markup
        table.add_row(problem.kind, *path, f"{problem.count:,}", offset)
    if len(problems) > _MOST_EVENTS:
        table.caption = f"{len(problems) - _MOST_EVENTS} more: see --format json"
    return table


def _profile_notes(result: Result) -> list[str]:
    profile, notes = result.profile, []
    if profile.one_sided:
        notes.append("most TCP dialogues show one direction only")
    if profile.snaplen_cut:
        notes.append("packets were truncated by the snap length; sizes are taken from the IP headers")
    if profile.duplicates is not None and profile.duplicates >= _MANY_DUPLICATES:
        notes.append(
            f"{profile.duplicates:.0%} of the packets repeat an earlier one byte for byte: captured twice at a mirror port, or sent twice"
        )
    if profile.starts_mid_attack:
        notes.append("the capture begins in the middle of an attack; its true start is earlier")
    if profile.ends_mid_attack:
        notes.append("the capture ends in the middle of an attack")
    if profile.sampled:
        notes.append("packets are missing within streams, as in a sample: rates and counts are too low")
    if profile.payload_missing:
        notes.append("payload is truncated or overwritten in most flows")
    for one in result.not_assessable:
        named = ", ".join(one.vectors[:_MOST_NAMED]) + (
            f" and {len(one.vectors) - _MOST_NAMED} more" if len(one.vectors) > _MOST_NAMED else ""
        )
        notes.append(f"not assessable: {named}: {one.why}")
    return notes


def _victims(event: Event) -> str:
    if "/" in event.victims[0]:
        return f"{event.victims[0]} ({event.victim_count} hosts)"
    return event.victims[0] if event.victim_count == 1 else f"{event.victims[0]} +{event.victim_count - 1}"


def amount(value: float) -> str:
    """Return a quantity with a decimal prefix and three digits, to be followed by its unit."""
    for prefix in _UNITS:
        if value < 999.5 or prefix == _UNITS[-1]:
            digits = 0 if value >= 99.5 or value == int(value) else 1
            return f"{value:,.{digits}f} {prefix}"
        value /= 1000
    raise AssertionError  # the loop returns at its last prefix


def duration(seconds: float) -> str:
    """Return a duration in a suitable unit."""
    if seconds < 0.9995:  # rounds to a second
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def moment(time_ns: int) -> str:
    """Return a time to the millisecond, in UTC."""
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{time_ns // 10**6 % 1000:03d}"
