"""``floodmark carve``: extract the packets of an attack from captures."""

import click

from floodmark.cli.exits import finish, report, say_problems
from floodmark.cli.options import CAPTURES, Reading, reading, refuse_overwriting
from floodmark.cli.progress import progress


@click.command()
@CAPTURES
@click.option("--event", "events", type=int, multiple=True, metavar="ID", help="Packets of this event, toward its victims.")
@click.option("--victim", "victims", multiple=True, metavar="ADDRESS", help="Packets of all events against this victim.")
@click.option(
    "--verdict",
    "verdicts",
    type=click.Choice(["volumetric", "application-layer", "benign"]),
    multiple=True,
    help="Whole flows of this class.",
)
@click.option("--benign", is_flag=True, help="Packets of no attack, including those in no flow.")
@click.option("--answers", is_flag=True, help="With --event and --victim: also the victims' replies.")
@click.option("--rest", is_flag=True, help="All packets except the selected ones.")
@click.option("--sample", "every", type=click.IntRange(1), default=1, metavar="N", help="One of every N selected packets.")
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
    """Extract the packets of events, victims or classes as pcapng.

    Several options together select all packets that any of them selects. Times, interfaces and comments are kept; the file's
    comment describes its contents. --event 1 and --event 1 --rest add up to the capture.

    Exit code: 0 written; 2 wrong usage, or no such event; 3 a capture could not be read, or the file could not be written.

    Example: floodmark carve traces/demo.pcap --event 2 -o attack.pcapng
    """
    refuse_overwriting(captures, path)
    if not (events or victims or verdicts or benign):
        raise click.UsageError("no packets selected; give --event, --victim, --verdict or --benign")
    from floodmark.result.carving import carve as extract
    from floodmark.result.carving import choose

    result = how.answer(list(captures))
    say_problems(result)
    judged, left_out, sources = result.flows.judged, result.left_out, result.sources
    del result  # the packets are chosen by the labels alone
    choice = choose(judged, events=events, verdicts=verdicts, victims=victims, benign=benign, answers=answers, rest=rest, every=every)
    del judged
    with progress() as advance:
        done = extract(sources, choice, path, how.settings.flow, keep_going=how.options.keep_going, progress=advance)
    report(path, f"{done.packets:,} of {done.read:,} packets")
    finish(left_out)
