"""``floodmark custody``: show the log of an evidence bundle, or add to it."""

import click

from floodmark.base.escaping import shown
from floodmark.cli.exits import write
from floodmark.cli.options import ask_passphrase


@click.command()
@click.argument("bundle", type=click.Path(exists=True))
@click.option("--add", "action", metavar="TEXT", help="Add an entry with this text, such as what was done with the bundle.")
@click.option("--by", metavar="NAME", help="With --add: who did it.")
@click.option("--key", "key_path", type=click.Path(dir_okay=False), metavar="KEY", help="With --add: Ed25519 key that signs the entry.")
def custody(bundle: str, *, action: str | None, by: str | None, key_path: str | None) -> None:
    """Show the custody log of an evidence bundle, who did what and when, or add an entry to it.

    Each entry contains the hash of the previous one; entries are never changed or removed. Adding an entry does not affect the
    bundle's manifest or its signature.

    Exit code: 0 shown or added; 2 wrong usage, an unusable key, or an altered log; 3 no bundle, or it could not be written.

    Example: floodmark evidence traces/demo.pcap -o bundle && floodmark custody bundle --add "handed to the court" --by "A. Responder"
    """
    if (action is None) != (by is None) or (key_path is not None and action is None):
        raise click.UsageError("--add and --by must be given together; --key requires both")
    from floodmark.evidence import custody as log
    from floodmark.evidence.seal.signing import load_signer

    if action is not None and by is not None:
        entries = log.add(bundle, by, action, None if key_path is None else load_signer(key_path, ask_passphrase))
    else:
        entries = log.entries_of(bundle)
    write("".join(f"{shown(str(entry))}\n" for entry in entries))
