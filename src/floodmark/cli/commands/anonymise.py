"""``floodmark anonymise``: anonymise captures for sharing."""

from pathlib import Path

import click

from floodmark.base.writing import make_folder
from floodmark.cli.exits import report, say
from floodmark.cli.options import CAPTURES, announce_compilation, refuse_overwriting, sharing_of


@click.command()
@CAPTURES
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(),
    required=True,
    metavar="OUT.pcapng",
    help="File to write, or a folder for several captures.",
)
@click.option(
    "--key",
    "key_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Key of at least 32 bytes; by default a random one that is not kept.",
)
@click.option(
    "--payload",
    type=click.Choice(["sketch", "remove"]),
    default="sketch",
    show_default=True,
    help="Reduce payloads to sketches, or remove them.",
)
@click.option("--keep-going", is_flag=True, help="After a damaged record, search for the next valid one instead of stopping.")
def anonymise(captures: tuple[str, ...], *, path: str, key_path: str | None, payload: str, keep_going: bool) -> None:
    """Write captures that can be shared: no address, name or payload of the original, but the same verdicts.

    Addresses keep their common prefixes (Crypto-PAn), MAC addresses and names are replaced under the key, and checksums are
    recomputed. Payloads are reduced to a sketch that shows the protocol and the course of the dialogue. With --payload remove,
    packets end after their last header, and attacks that only payloads show are no longer found.

    Exit code: 0 written; 2 wrong usage, or an unusable key; 3 a capture could not be read, or the output could not be written.

    Example: floodmark anonymise traces/demo.pcap -o shared.pcapng
    """
    refuse_overwriting(captures, path)
    announce_compilation()
    from floodmark.anonymising.anonymise import anonymise as blank
    from floodmark.evidence.sharing import sources_of

    sharing = sharing_of(key_path, payload)
    sources = sources_of(list(captures))
    several = len(sources) > 1
    targets = [str(Path(path) / f"capture-{number:04d}.pcapng") if several else path for number in range(1, len(sources) + 1)]
    originals = [source.file for source in sources if source.file is not None]
    for target in targets:
        refuse_overwriting(originals, target)  # the names of several are made up here
    if several:
        make_folder(path)
    for source, target in zip(sources, targets, strict=True):
        done = blank(source, target, sharing.anonymiser, payload=sharing.payload, keep_going=keep_going)
        report(target, f"{done.packets:,} packets")
        if done.put_back:
            say(f"{target}: the first bytes of {done.put_back:,} payloads were kept, as any others would have looked like a protocol")
