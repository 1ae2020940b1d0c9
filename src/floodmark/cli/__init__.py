"""The command line. Whatever needs the compiled core is imported only when a capture is to be read."""

import click

from floodmark.cli.commands.anonymise import anonymise
from floodmark.cli.commands.audit import audit
from floodmark.cli.commands.carve import carve
from floodmark.cli.commands.classify import classify
from floodmark.cli.commands.custody import custody
from floodmark.cli.commands.evidence import evidence
from floodmark.cli.commands.explain import explain
from floodmark.cli.commands.export import export
from floodmark.cli.commands.inspect import inspect
from floodmark.cli.commands.mitigate import mitigate
from floodmark.cli.commands.reference import show_rules, show_settings, show_vectors, warm
from floodmark.cli.commands.report import report
from floodmark.cli.commands.verify import verify
from floodmark.cli.exits import Program


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="floodmark")
def main() -> None:
    """Find attacks in packet captures: classify every flow as volumetric attack, application-layer attack or benign."""


ANSWERS, EVIDENCE, OTHERS = (classify, explain, report, audit), (evidence, verify, custody), (carve, anonymise, export, mitigate, inspect)
for command in (*ANSWERS, *EVIDENCE, *OTHERS, show_vectors, show_rules, show_settings, warm):
    main.add_command(command)
