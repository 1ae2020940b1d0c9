"""``floodmark vectors``, ``rules``, ``settings`` and ``warm``: commands that need no capture."""

import time

import click

from floodmark.cli.exits import UNREADABLE, finish, say, write
from floodmark.errors import NotFoundError


@click.command("vectors")
@click.argument("names", nargs=-1, metavar="[VECTOR]...")
def show_vectors(names: tuple[str, ...]) -> None:
    """Describe vectors: what each is, how it is recognised, what it is confused with and what to do; without a name, list all.

    Exit code: 0 printed; 2 no such vector; 3 the output could not be written.

    Example: floodmark vectors tcp-syn-flood
    """
    from floodmark.vocabulary.catalogue import page
    from floodmark.vocabulary.vectors import RECORDS

    unknown = [name for name in names if name not in RECORDS]
    if unknown:
        raise NotFoundError(f"no vector is named {', '.join(map(repr, unknown))}; floodmark vectors lists them")
    if names:
        write("\n".join(page(name) for name in names))
        return
    write("".join(f"{'  ' if not entry.is_parent else ''}{entry.name}: {entry.what}\n" for entry in RECORDS.values()))


@click.command("rules")
@click.argument("names", nargs=-1, metavar="[RULE]...")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def show_rules(names: tuple[str, ...], form: str) -> None:
    """Describe rules: what each measures, why that is evidence, its threshold and the vectors it supports; without a name, all.

    RULE is an id as in the results, such as R_NO_TCP_OPTIONS.

    Exit code: 0 printed; 2 no such rule; 3 the output could not be written.

    Example: floodmark rules R_NO_TCP_OPTIONS
    """
    from floodmark.report.rules import rules_json, rules_text
    from floodmark.verdicts.registry import rules

    known = {each.rule.id: each for each in rules()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NotFoundError(f"no rule is named {', '.join(map(repr, unknown))}; floodmark rules lists them")
    chosen = [known[name] for name in names] if names else list(known.values())
    write(rules_json(chosen) if form == "json" else rules_text(chosen))


@click.command("settings")
@click.argument("path", required=False, type=click.Path(dir_okay=False), metavar="[FILE]")
def show_settings(path: str | None) -> None:
    """Print every time-out and threshold with its meaning and source, as TOML for --settings.

    FILE is such a file; each value that it changes is shown with its default.

    Exit code: 0 printed; 2 FILE is not a valid settings file; 3 the output could not be written.

    Example: floodmark settings > settings.toml
    """
    from floodmark.settings import Settings, load_settings, settings_text

    write(settings_text(load_settings(path) if path else Settings()))


@click.command()
def warm() -> None:
    """Compile the core before its first use.

    For images and clusters: set FLOODMARK_CACHE_DIR to a folder that is kept in the image. It may be read-only later.
    """
    from floodmark.base.warming import warm as compile_core
    from floodmark_core import cache_folder, compiled_before

    started = time.perf_counter()
    compile_core()
    if not compiled_before():
        say(f"{cache_folder()}: cannot be written, the compiled core is lost; set FLOODMARK_CACHE_DIR to another folder")
        finish(code=UNREADABLE)
    write(f"compiled the core into {cache_folder()} ({time.perf_counter() - started:.1f} s)\n")
