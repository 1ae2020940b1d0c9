"""``floodmark verify``: check whether an evidence bundle was altered."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from floodmark.base.escaping import shown
from floodmark.cli.exits import ANSWERED, finish, say, write
from floodmark.cli.options import Size, announce_compilation
from floodmark.cli.progress import progress

if TYPE_CHECKING:
    from floodmark.evidence.findings import Verified

ALTERED = 1


@click.command()
@click.argument("bundle", type=click.Path(exists=True))
@click.option(
    "--original", "originals", type=click.Path(exists=True), multiple=True, metavar="CAPTURE", help="Original capture, or a folder."
)
@click.option("--public-key", "key_path", type=click.Path(dir_okay=False), metavar="KEY", help="Expected signer's public key.")
@click.option("--anonymise-key", "shared_key", type=click.Path(dir_okay=False), metavar="FILE", help="Key of an anonymised bundle.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format.")
@click.option("--memory", type=Size(), default="2GiB", show_default=True, help="Memory limit for repeating the analysis.")
def verify(bundle: str, *, originals: tuple[str, ...], key_path: str | None, shared_key: str | None, form: str, memory: int) -> None:
    """Check an evidence bundle offline: every hash, every proof, its custody log and its signature.

    With the original captures, floodmark also checks their hashes, repeats the analysis and compares results, carved packets
    and proofs. Every altered file is listed.

    Exit code: 0 intact; 1 something was altered; 2 wrong usage; 3 no bundle, or an original could not be read.

    Example: floodmark evidence traces/demo.pcap -o bundle && floodmark verify bundle --original traces/demo.pcap
    """
    announce_compilation()
    from floodmark.anonymising.anonymise import load_key
    from floodmark.anonymising.anonymiser import Anonymiser
    from floodmark.evidence.seal.signing import load_public_key
    from floodmark.evidence.verifying import verify as check
    from floodmark.result.pipeline import Options

    key = None if key_path is None else load_public_key(key_path)
    anonymiser = None if shared_key is None else Anonymiser(load_key(shared_key))
    options = replace(Options(), memory_octets=memory, announce=say)
    with progress() as advance:
        found = check(bundle, originals=list(originals), public_key=key, anonymiser=anonymiser, options=options, progress=advance)
    _print(found, form)
    finish(code=ANSWERED if found.is_whole else ALTERED)


def _print(found: "Verified", form: str) -> None:
    if form == "json":
        write(json.dumps(found.to_dict(), allow_nan=False) + "\n")
        return
    lines = [f"  ok       {shown(held)}" for held in found.held]
    lines += [f"  ALTERED  {shown(each.path)}: {shown(each.what)}" for each in found.altered]
    lines += [f"  note     {shown(remark)}" for remark in found.remarks]
    count = len({each.path for each in found.altered})
    altered = f"The bundle is NOT intact: {count} {'file' if count == 1 else 'files'} altered."
    write("\n".join([*lines, "The bundle is intact." if found.is_whole else altered]) + "\n")
