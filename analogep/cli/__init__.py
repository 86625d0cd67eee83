"""The command line.

Exit status: 0 if all was done; 1 if a verification or a gradient check disagreed; 2 if the input or the machine is
at fault (one message, no traceback); 130 after Ctrl-C. What only deserves attention is a line ``warning: ...`` on
standard error, once.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TextIO


def main() -> None:
    """Run the ``analogep`` command."""
    from analogep.cli.app import app
    from analogep.errors import AnalogepError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without these letters gets their numbers
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _Shown()
            app()
    except AnalogepError as error:
        _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at exit
        sys.exit(2)
    except OSError as error:
        where = f" {error.filename}:" if error.filename is not None else ""
        _fail(f"the system refused:{where} {error.strerror or error}")
    except MemoryError as error:
        _fail(f"not enough memory: {error or 'the machine has no more'}; take a smaller circuit or fewer points")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


class _Shown:
    """Prints each warning once, as a line of its own."""

    def __init__(self) -> None:
        self.texts: set[str] = set()

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = " ".join(str(message).split())
        if text not in self.texts:
            self.texts.add(text)
            print(f"warning: {text}", file=sys.stderr)
