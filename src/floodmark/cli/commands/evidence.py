"""``floodmark evidence``: write a result with everything that others need to check it."""

import click

from floodmark.cli.exits import report, write
from floodmark.cli.options import ASSETS, CAPTURES, Reading, ask_passphrase, reading, refuse_overwriting, sharing_of
from floodmark.cli.progress import progress


@click.command()
@CAPTURES
@click.option("-o", "--output", "path", type=click.Path(), required=True, metavar="BUNDLE", help="Folder or .zip file to write.")
@click.option("--key", "key_path", type=click.Path(dir_okay=False), metavar="KEY", help="Ed25519 private key that signs the bundle.")
@click.option("--by", metavar="NAME", help="Who creates the bundle, for its custody log.")
@click.option("--show-victims", is_flag=True, help="Also name the victims in the STIX file.")
@ASSETS
@click.option("--anonymise", "is_shared", is_flag=True, help="Use anonymised copies of the captures.")
@click.option(
    "--anonymise-key", "shared_key", type=click.Path(dir_okay=False), metavar="FILE", help="With --anonymise: key of at least 32 bytes."
)
@click.option(
    "--payload",
    type=click.Choice(["sketch", "remove"]),
    default="sketch",
    show_default=True,
    help="With --anonymise: reduce payloads to sketches, or remove them.",
)
@reading
def evidence(
    captures: tuple[str, ...],
    *,
    path: str,
    key_path: str | None,
    by: str | None,
    show_victims: bool,
    assets_path: str | None,
    is_shared: bool,
    shared_key: str | None,
    payload: str,
    how: Reading,
) -> None:
    """Write an evidence bundle: the results, the packets of the events and the proofs that tie them to the captures.

    The captures are not modified. The bundle holds the SHA-256 and the Merkle root of each, the carved packets of each event with
    proofs of their positions, report, event flows, settings, versions, a custody log, STIX 2.1 and CASE metadata, and a request
    for a trusted timestamp. Recipients check it with floodmark verify, which repeats the analysis if it is given the captures.

    With --anonymise, addresses keep only their common prefixes, names and payloads are removed, and verdicts stay the same. Anyone
    with the key can recreate the copies; without --anonymise-key, the key is random and not kept.

    Exit code: 0 written; 2 wrong usage, or an unusable key; 3 a capture could not be read, or the bundle could not be written.

    Example: floodmark evidence traces/demo.pcap -o bundle
    """
    refuse_overwriting(captures, path)
    if (shared_key is not None or payload == "remove") and not is_shared:
        raise click.UsageError("--anonymise-key and --payload require --anonymise")
    from floodmark.evidence.making import Recipe, make
    from floodmark.evidence.seal.signing import load_signer

    signer = None if key_path is None else load_signer(key_path, ask_passphrase)
    sharing = sharing_of(shared_key, payload) if is_shared else None
    recipe = Recipe(how.settings, how.options, show_victims, assets_path)
    with progress() as advance:
        made = make(list(captures), path, recipe, by=by, signer=signer, sharing=sharing, progress=advance)
    report(path, f"{made.events} events, {made.packets:,} packets from {made.captures} captures")
    write(f"manifest SHA-256 {made.manifest_sha256}\n")
