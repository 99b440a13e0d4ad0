"""Options that several commands have, said once."""

import click


FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="text for people, json with stable keys for programs.",
)
