"""``floodmark carve``: extract the packets of an attack from captures."""

import sys

import click

from floodmark.cli.common import ANSWERED, CAPTURES, WRONG_USAGE, Reading, ending, progress, reading, refuse_overwriting, say, say_problems
from floodmark.errors import FloodmarkError


@click.command()
@CAPTURES
@click.option("--event", "events", type=int, multiple=True, metavar="ID", help="Packets of this event, toward its victims.")
@click.option("--victim", "victims", multiple=True, metavar="ADDRESS", help="Packets of all events on this victim.")
@click.option(
    "--verdict",
    "verdicts",
    type=click.Choice(["volumetric", "application-layer", "benign"]),
    multiple=True,
    help="Whole flows of this class.",
)
@click.option("--benign", is_flag=True, help="What belongs to no attack, what is no flow included.")
@click.option("--answers", is_flag=True, help="With --event and --victim: also what the victims sent back.")
@click.option("--rest", is_flag=True, help="All packets but those.")
@click.option("--sample", "every", type=click.IntRange(1), default=1, metavar="N", help="One of every N of those packets.")
@click.option("-o", "--output", "path", type=click.Path(dir_okay=False), required=True, metavar="OUT.pcapng", help="File to write.")
@reading
def carve(
    captures: tuple[str, ...],
    *,
    events: tuple[int, ...],
    victims: tuple[str, ...],
    verdicts: tuple[str, ...],
    benign: bool,
    answers: bool,
    rest: bool,
    every: int,
    path: str,
    how: Reading,
) -> None:
    """Write the packets of an attack, or of anything else an answer names, as pcapng.

    What several options name is written together. Times, interfaces and comments are kept; the comment of the file says
    what it holds. --event 1 and --event 1 --rest add up to the capture.

    Exit code: 0 written; 2 wrong usage, or no such event; 3 a capture could not be read, or the file not be written.

    Example: floodmark carve traces/demo.pcap --event 2 -o attack.pcapng
    """
    refuse_overwriting(captures, path)
    if not (events or victims or verdicts or benign):
        raise click.UsageError("say which packets: --event, --victim, --verdict or --benign")
    from floodmark.result.carving import carve as write
    from floodmark.result.carving import choose

    with ending():
        result = how.answer(list(captures))
        say_problems(result)
        judged = result.flows.judged
        del result  # the packets are chosen by the labels alone
        try:
            choice = choose(
                judged, events=events, verdicts=verdicts, victims=victims, benign=benign, answers=answers, rest=rest, every=every
            )
        except FloodmarkError as error:
            say(error)
            sys.exit(WRONG_USAGE)
        del judged
        with progress() as advance:
            done = write(list(captures), choice, path, how.settings.flow, keep_going=how.options.keep_going, progress=advance)
    click.echo(f"{path}: {done.packets:,} of {done.read:,} packets", err=path == "-")
    sys.exit(ANSWERED)
