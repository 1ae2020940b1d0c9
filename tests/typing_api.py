"""The whole public interface with full annotations: mypy --strict must find nothing here, and a changed type shows at once.

Not collected by pytest; ``make lint`` checks it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, assert_type

import floodmark
from floodmark import (
    CaptureError,
    Event,
    FloodmarkError,
    Options,
    Result,
    Settings,
    SettingsError,
    Verdict,
    classify,
    load_settings,
    stream,
)


def captures(path: Path, stream_: BinaryIO) -> None:
    """Pass every kind of capture."""
    assert_type(classify(path), Result)
    assert_type(classify(str(path)), Result)
    assert_type(classify(stream_), Result)
    assert_type(classify([path, str(path), stream_]), Result)
    assert_type(classify((path,), Settings(), Options(memory_octets=1 << 30, threads=2, hash_captures=True)), Result)
    assert_type(classify(path, settings=None, options=None, progress=lambda name, octets: print(name.upper(), octets + 1)), Result)  # noqa: T201


def settings(path: str) -> Settings:
    """Read settings and make them by hand."""
    assert_type(load_settings(path), Settings)
    chosen = Settings()
    assert_type(chosen.flow.udp_timeout_s, float)
    assert_type(chosen.volumetric.flood_packets, int)
    assert_type(chosen.application.scan_ports, int)
    assert_type(chosen.event.gap_share, float)
    return chosen


def answer(result: Result) -> None:
    """Read every part of an answer."""
    assert_type(result.captures[0].path, str)
    assert_type(result.captures[0].sha256, str | None)
    assert_type(result.captures[0].first_seen_ns, int | None)
    assert_type(result.captures[0].problems[0].first_offset, int | None)
    assert_type(result.profile.one_sided, bool | None)
    assert_type(result.profile.span_s, float)
    assert_type(result.totals.packets, int)
    assert_type(result.totals.packets_refused, dict[str, int])
    assert_type(result.verdicts["benign"].flows, int)
    assert_type(result.events, tuple[Event, ...])
    assert_type(result.notes, tuple[str, ...])
    assert_type(result.to_dict(), dict[str, Any])
    assert_type(result.to_json(indent=2), str)
    assert_type(len(result.flows), int)
    table: Any = result.flows.to_table()
    batches: Iterator[Any] = result.flows.batches(1000)
    print(table, batches, result.flows.schema)  # noqa: T201


def event(one: Event) -> None:
    """Read every part of an event."""
    assert_type(one.id, int)
    assert_type(one.verdict, Verdict)
    assert_type(one.vector, str)
    assert_type(one.victims, tuple[str, ...])
    assert_type(one.start_ns, int)
    assert_type(one.peak_pps, float)
    assert_type(one.spoofed, float | None)
    assert_type(one.start_censored, bool)
    assert_type(one.reasons[0].measured, float)
    assert_type(one.top_sources[0].address, str)
    assert_type(one.ports, tuple[int, ...])


def batches(paths: Sequence[str]) -> Iterator[Any]:
    """Stream flows."""
    yield from stream(paths, Settings(), Options())


def errors(path: str) -> int | None:
    """Catch every error."""
    try:
        classify(path)
    except CaptureError as error:
        assert_type(error.path, str)
        return error.offset
    except SettingsError:
        return None
    except FloodmarkError:
        return None
    return None


word: str = Verdict.VOLUMETRIC
assert_type(floodmark.__all__, list[str])
