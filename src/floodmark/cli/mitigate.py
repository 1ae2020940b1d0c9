"""``floodmark mitigate``: print a rule that would have stopped an attack, and what else it would have hit."""

import sys

import click

from floodmark.cli.common import ANSWERED, CAPTURES, WRONG_USAGE, Reading, ending, progress, reading, say, say_problems, show_page

FORMS = ("flowspec", "nftables", "suricata", "bpf", "cidr")

_FEW = 100  # packets


@click.command()
@CAPTURES
@click.option("--event", type=int, required=True, metavar="ID", help="The event to stop.")
@click.option("--as", "form", type=click.Choice(FORMS), required=True, help="Form of the rule.")
@click.option("--most-harm", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Share of ordinary packets it may match.")
@click.option("--force", is_flag=True, help="Print the rule even where it would match more of them.")
@reading
def mitigate(captures: tuple[str, ...], *, event: int, form: str, most_harm: float, force: bool, how: Reading) -> None:
    """Print a rule that would have stopped an event, measured on the captures.

    What the rule matches of the attack, of ordinary packets in all and to the victims, and of other attacks is counted over
    every packet and said on standard error. A rule that would match more ordinary packets than --most-harm is not printed
    unless --force is given.

    Exit code: 0 printed; 1 not printed, it would do harm; 2 wrong usage, or no such event; 3 a capture could not be read.

    Example: floodmark mitigate traces/demo.pcap --event 1 --as nftables
    """
    from floodmark.mitigation.forms import FORMS as KNOWN
    from floodmark.mitigation.rules import rule_for
    from floodmark.report.text import sentence

    with ending():
        result = how.answer(list(captures))
        say_problems(result)
        flows = result.flows
        judged = flows.judged
        chosen = next((each for each in judged.events if each.id == event), None)
        if chosen is None:
            say(f"no event has the id {event}; there are {len(judged.events)}")
            sys.exit(WRONG_USAGE)
        tunnel = flows.tunnel_of(event)
        del flows, result  # the rule needs the labels alone
        with progress() as advance:
            rule = rule_for(
                list(captures), chosen, judged, KNOWN[form], how.settings.flow, most_harm=most_harm, keep_going=how.options.keep_going,
                progress=advance,
            )  # fmt: skip
    measured = rule.measured
    if tunnel is not None:
        say(f"the attack comes in a tunnel ({tunnel}); the rule looks at the packets inside it")
    for what, (matched, total) in (
        ("packets of the attack", measured.attack), ("ordinary packets", measured.ordinary),
        ("ordinary packets to the victims", measured.beside), ("packets of other attacks and of the victims' answers", measured.other),
    ):  # fmt: skip
        say(f"of {total:,} {what} it matches {matched:,} ({matched / total:.2%})" if total else f"there are no {what}")
    if 0 < measured.ordinary[1] < _FEW:
        say("so few ordinary packets say little of what the rule would hit elsewhere")
    if rule.filter.around:
        say(f"the attack's frames have {', '.join(rule.filter.around)} before the IP header, which only a BPF rule takes account of")
    if not measured.attack[0] or not rule.filter.terms:
        others = ", ".join(each for each in FORMS if each != form)
        say(f"no rule of this form tells the attack from the rest; another form may (--as {others})")
        sys.exit(1)
    if measured.harm > most_harm and not force:
        say(f"not printed: it would match {measured.harm:.1%} of ordinary packets, more than {most_harm:.1%}; --force prints it")
        sys.exit(1)
    harm = f"{measured.harm:.2%} of ordinary packets in the capture" if measured.ordinary[1] else "the capture has no ordinary packets"
    what = f"{sentence(chosen)}; matches {measured.stopped:.2%} of it; {harm}"
    show_page(KNOWN[form].write(rule.filter, what, event))
    sys.exit(ANSWERED)
