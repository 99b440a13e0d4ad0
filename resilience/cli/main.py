"""Entry point: says how to install what the command needs, then hands over."""

import sys
from typing import Final


INSTALL: Final = "pip install 'resilience-middleware[cli]'"


def main() -> None:
    """Run the command `resilience`; exit 0: fine, 1: findings, 2: wrong use."""
    try:
        from .commands import cli
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("click", "rich"):
            raise
        print(f"the command line needs {error.name}: {INSTALL}", file=sys.stderr)
        sys.exit(2)
    cli(prog_name="resilience")
