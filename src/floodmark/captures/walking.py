"""Set up the walk through a capture from the settings: the clock's tolerance, and how deep tunnels are opened."""

from floodmark.captures.settings import FlowSettings
from floodmark.vocabulary.services import service_ports
from floodmark_core.columns import I64
from floodmark_core.packets.walk import Walk, new_walk
from floodmark_core.records.framing import LAST_TIME_NS
from floodmark_core.records.timeline import FILE_BEGINS

TUNNELS_OPENED = 4  # most nested tunnels; a mirror of a tunnel in an overlay has three


def walk_with(settings: FlowSettings, layout: I64) -> Walk:
    """Return a walk through captures set up from the settings. layout: initial layout for framing; modified in place."""
    depth = TUNNELS_OPENED if settings.tunnels == "inner" else 0
    return new_walk(layout, service_ports(), round(settings.reorder_window_s * 1e9), depth)


def begin_capture(walk: Walk, layout: I64, last_time_ns: int) -> None:
    """Go on with the next capture. last_time_ns: of the last packet so far, for packets without a time of their own."""
    walk.layout[:] = layout
    walk.layout[LAST_TIME_NS] = last_time_ns
    walk.clock[FILE_BEGINS] = 1
