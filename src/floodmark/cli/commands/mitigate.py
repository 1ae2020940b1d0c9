"""``floodmark mitigate``: print a rule that would have stopped an attack, and what else it would have hit."""

import click

from floodmark.cli.exits import finish, say, say_problems, write
from floodmark.cli.options import CAPTURES, Reading, reading
from floodmark.cli.progress import progress
from floodmark.errors import NotFoundError

FORMS = ("flowspec", "nftables", "suricata", "bpf", "cidr")

NO_RULE = 1  # exit code
_FEW = 100  # packets


@click.command()
@CAPTURES
@click.option("--event", type=int, required=True, metavar="ID", help="The event to stop.")
@click.option("--as", "form", type=click.Choice(FORMS), required=True, help="Rule format.")
@click.option(
    "--most-harm", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Largest share of ordinary packets it may match."
)
@click.option("--force", is_flag=True, help="Print the rule even if it would match more.")
@reading
def mitigate(captures: tuple[str, ...], *, event: int, form: str, most_harm: float, force: bool, how: Reading) -> None:
    """Print a rule that would have stopped an event, measured on the captures.

    floodmark counts, over every packet, how much the rule matches of the attack, of ordinary traffic in total and to the
    victims, and of other attacks, and reports this on standard error. A rule that would match a larger share of ordinary
    packets than --most-harm is not printed unless --force is given.

    Exit code: 0 printed; 1 not printed, because no rule is specific enough; 2 wrong usage, or no such event; 3 a capture could not be read.

    Example: floodmark mitigate traces/demo.pcap --event 1 --as nftables
    """
    from floodmark.mitigation.forms import FORMS as KNOWN
    from floodmark.mitigation.rules import rule_for
    from floodmark.report.text import sentence

    result = how.answer(list(captures))
    say_problems(result)
    flows, left_out, sources = result.flows, result.left_out, result.sources
    judged = flows.judged
    chosen = next((each for each in judged.events if each.id == event), None)
    if chosen is None:
        raise NotFoundError(f"no event has the id {event}; events found: {len(judged.events)}")
    tunnel = flows.tunnel_of(event)
    del flows, result  # the rule needs the labels alone
    with progress() as advance:
        rule = rule_for(
            sources, chosen, judged, KNOWN[form], how.settings.flow, most_harm=most_harm, keep_going=how.options.keep_going,
            progress=advance,
        )  # fmt: skip
    measured = rule.measured
    if tunnel is not None:
        say(f"the attack is tunnelled ({tunnel}); the rule matches the inner packets")
    for what, (matched, total) in (
        ("attack packets", measured.attack), ("ordinary packets", measured.ordinary),
        ("ordinary packets to the victims", measured.beside), ("packets of other attacks and of the victims' replies", measured.other),
    ):  # fmt: skip
        say(f"matches {matched:,} of {total:,} {what} ({matched / total:.2%})" if total else f"there are no {what}")
    if 0 < measured.ordinary[1] < _FEW:
        say("too few ordinary packets to show what the rule would match elsewhere")
    if rule.filter.around:
        say(f"the attack's frames have {', '.join(rule.filter.around)} before the IP header; only a BPF rule accounts for that")
    if not measured.attack[0] or not rule.filter.terms:
        others = ", ".join(each for each in FORMS if each != form)
        say(f"no rule in this format separates the attack from other traffic; another format may (--as {others})")
        finish(code=NO_RULE)
    if measured.harm > most_harm and not force:
        say(f"not printed: it would match {measured.harm:.1%} of ordinary packets, more than {most_harm:.1%}; --force prints it")
        finish(code=NO_RULE)
    harm = f"{measured.harm:.2%} of ordinary packets in the capture" if measured.ordinary[1] else "the capture has no ordinary packets"
    what = f"{sentence(chosen)}; matches {measured.stopped:.2%} of it; {harm}"
    write(KNOWN[form].write(rule.filter, what, event))
    finish(left_out)
