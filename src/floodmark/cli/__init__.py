"""The command line. Whatever needs the compiled core is imported only when a capture is to be read."""

import sys

import click

from floodmark.cli.anonymise import anonymise
from floodmark.cli.audit import audit
from floodmark.cli.carve import carve
from floodmark.cli.classify import classify
from floodmark.cli.common import INTERRUPTED, say
from floodmark.cli.custody import custody
from floodmark.cli.evidence import evidence
from floodmark.cli.explain import explain
from floodmark.cli.export import export
from floodmark.cli.inspect import inspect
from floodmark.cli.mitigate import mitigate
from floodmark.cli.reference import show_rules, show_settings, show_vectors, warm
from floodmark.cli.report import report
from floodmark.cli.verify import verify


class _Program(click.Group):
    """The command group, which exits cleanly when interrupted."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; if interrupted, it leaves no partial file and prints no traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("interrupted")
            sys.exit(INTERRUPTED)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="floodmark")
def main() -> None:
    """Find attacks in packet captures: classify every flow as volumetric attack, application-layer attack or benign."""


ANSWERS, EVIDENCE, OTHERS = (classify, explain, report, audit), (evidence, verify, custody), (carve, anonymise, export, mitigate, inspect)
for command in (*ANSWERS, *EVIDENCE, *OTHERS, show_vectors, show_rules, show_settings, warm):
    main.add_command(command)
