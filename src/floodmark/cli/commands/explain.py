"""``floodmark explain``: explain a verdict."""

from functools import partial
from typing import TYPE_CHECKING

import click

from floodmark.cli.exits import finish, say, say_problems, show
from floodmark.cli.options import CAPTURES, Reading, reading
from floodmark.cli.progress import console
from floodmark.errors import NotFoundError

if TYPE_CHECKING:
    import numpy as np

    from floodmark.result.explaining import SamplePacket
    from floodmark.result.result import Result

_MOST_FLOWS = 5  # shown of those with the same endpoints


@click.command()
@CAPTURES
@click.option("--event", type=int, metavar="ID", help="The event to explain.")
@click.option("--flow", metavar="5-TUPLE", help="The flow to explain: 'A:PORT B:PORT PROTOCOL', or its flow_id.")
@click.option("--packets", type=click.IntRange(0, 1000), default=5, show_default=True, help="How many packets to show.")
@reading
def explain(captures: tuple[str, ...], *, event: int | None, flow: str | None, packets: int, how: Reading) -> None:
    """Explain why an event or a flow got its verdict and not another.

    Shows each reason with its measured value, threshold and weight, what would have to be missing for another verdict, the
    other vectors considered, and the first packets.

    Exit code: 0 explained; 2 wrong usage, or no such event or flow; 3 a capture could not be read.

    Example: floodmark explain traces/demo.pcap --event 1
    """
    if (event is None) == (flow is None):
        raise click.UsageError("nothing to explain; give either --event or --flow")
    result = how.answer(list(captures))
    say_problems(result)
    if event is not None:
        _explain_event(result, event, packets, how)
    else:
        _explain_flow(result, str(flow), packets, how)
    finish(result.left_out)


def _explain_event(result: "Result", number: int, packets: int, how: Reading) -> None:
    from floodmark.report.explanation import print_event

    chosen = next((each for each in result.events if each.id == number), None)
    if chosen is None:
        raise NotFoundError(f"no event has the id {number}; events found: {len(result.events)}")
    wanted = result.flows.judged.event_of == number - 1
    samples = _samples(result, wanted, packets, how)
    show(lambda: print_event(console(), chosen, samples))


def _explain_flow(result: "Result", text: str, packets: int, how: Reading) -> None:
    import numpy as np

    from floodmark.report.explanation import print_event, print_flow
    from floodmark.result.explaining import find_flows

    rows, out = find_flows(result.flows, text), console()
    judged = result.flows.judged
    for row in rows[:_MOST_FLOWS].tolist():
        wanted = np.zeros(len(result.flows), bool)
        wanted[row] = True
        samples = _samples(result, wanted, packets, how)
        place = int(judged.event_of[row])
        show(partial(print_flow, out, result, row, samples))
        if place >= 0:
            show(partial(print_event, out, result.events[place], []))
    if len(rows) > _MOST_FLOWS:
        say(f"{len(rows) - _MOST_FLOWS} more flows match; select one by its flow_id")


def _samples(result: "Result", wanted: "np.ndarray", most: int, how: Reading) -> "list[SamplePacket]":
    """Return the first packets of some flows. wanted: bool per flow."""
    from floodmark.result.explaining import sample_packets

    return sample_packets(result.sources, wanted, how.settings.flow, most=most, keep_going=how.options.keep_going) if most else []
