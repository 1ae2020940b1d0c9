"""How a capture is walked through, as the settings have it: the clock's tolerance, and how deep tunnels are opened."""

from floodmark.captures.settings import FlowSettings
from floodmark.vocabulary.services import service_ports
from floodmark_core.columns import I64
from floodmark_core.packets.walk import Walk, new_walk

TUNNELS_OPENED = 4  # one in another, most: a mirror of a tunnel in an overlay has three


def walk_with(settings: FlowSettings, layout: I64) -> Walk:
    """Return a walk through captures as the settings have it. layout: with which framing starts; it is written to."""
    depth = TUNNELS_OPENED if settings.tunnels == "inner" else 0
    return new_walk(layout, service_ports(), round(settings.reorder_window_s * 1e9), depth)
