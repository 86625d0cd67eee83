"""The command line. Errors that a user can mend end with a message and exit code 2, without a traceback."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the ``analogep`` command."""
    from analogep.cli.app import app
    from analogep.errors import AnalogepError

    try:
        app()
    except AnalogepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
