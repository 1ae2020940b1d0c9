"""``floodmark custody``: show the log of an evidence bundle, or add to it."""

import sys

import click

from floodmark.base.escaping import shown
from floodmark.cli.common import ANSWERED, ask_passphrase, ending, show_page


@click.command()
@click.argument("bundle", type=click.Path(exists=True))
@click.option("--add", "action", metavar="TEXT", help="Add a line that says this, such as what was done with the bundle.")
@click.option("--by", metavar="NAME", help="With --add: who did it.")
@click.option("--key", "key_path", type=click.Path(dir_okay=False), metavar="KEY", help="With --add: Ed25519 key that signs the line.")
def custody(bundle: str, *, action: str | None, by: str | None, key_path: str | None) -> None:
    """Show who did what with an evidence bundle and when, or add a line to that.

    Each line names the hash of the one before it; nothing is ever changed or taken away. What is added does not touch the
    bundle's manifest or its signature.

    Exit code: 0 shown or added; 2 wrong usage, no such key, or a log that was altered; 3 no bundle, or it cannot be written.

    Example: floodmark evidence traces/demo.pcap -o bundle && floodmark custody bundle --add "handed to the court" --by "A. Responder"
    """
    if (action is None) != (by is None) or (key_path is not None and action is None):
        raise click.UsageError("--add and --by belong together, and --key to them")
    from floodmark.evidence import custody as log
    from floodmark.evidence.seal.signing import load_signer

    with ending():
        if action is not None and by is not None:
            entries = log.add(bundle, by, action, None if key_path is None else load_signer(key_path, ask_passphrase))
        else:
            entries = log.entries_of(bundle)
    show_page("".join(f"{shown(str(entry))}\n" for entry in entries))
    sys.exit(ANSWERED)
