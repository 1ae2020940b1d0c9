"""``floodmark report``: write a result as a page."""

import click

from floodmark.cli.exits import finish, say_problems
from floodmark.cli.options import ASSETS, CAPTURES, Reading, reading, refuse_overwriting, summaries


@click.command()
@CAPTURES
@click.option("-o", "--output", "path", type=click.Path(dir_okay=False), required=True, metavar="OUT.html", help="File to write.")
@ASSETS
@click.option("--hash", "hash_captures", is_flag=True, help="Include the SHA-256 of each capture.")
@reading
def report(captures: tuple[str, ...], *, path: str, assets_path: str | None, how: Reading) -> None:
    """Write the results as one self-contained HTML page that works offline.

    Exit code: 0 written; 2 wrong usage; 3 a capture could not be read, or the file could not be written.

    Example: floodmark report traces/demo.pcap -o report.html
    """
    refuse_overwriting(captures, path)
    from floodmark.report.page import write_page

    result = how.answer(list(captures))
    say_problems(result)
    write_page(path, result, summaries(assets_path, result, how))
    finish(result.left_out)
