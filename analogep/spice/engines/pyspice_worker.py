"""The process of PySpice's shared ngspice; started by :mod:`analogep.spice.engines.pyspice_engine` only.

It answers one request after another, each a frame on standard input, with a frame on its own copy of standard
output; what the C library prints goes to standard error. A frame is a JSON header and a block of bytes, each
after its length. The circuit is loaded for one request and removed after it, so that memory does not grow.
"""

from __future__ import annotations

import json
import os
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

CANNOT_LOAD = 3
"""Exit status when the shared library cannot be loaded."""

RAW = "point.raw"
"""File in the working directory through which each operating point goes."""

_LENGTHS = struct.Struct("<QQ")
_ERROR = re.compile(r"^\s*(?:fatal\s+)?error\b|simulation\(s\) aborted|unknown parameter", re.I | re.M)


def write_frame(stream: BinaryIO, header: dict[str, Any], block: bytes = b"") -> None:
    """Write one frame; raises :class:`OSError` if the other end is gone."""
    head = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(head), len(block)) + head + block)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Return the header and the bytes of one frame, or ``None`` if the stream ends first."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_size, block_size = _LENGTHS.unpack(lengths)
    head, block = stream.read(head_size), stream.read(block_size)
    if len(head) < head_size or len(block) < block_size:
        return None
    return json.loads(head), block


def memory() -> int:
    """Return the memory that this process holds [bytes], 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Library:
    """The shared library; remembers what it printed."""

    def __init__(self) -> None:
        from PySpice.Spice.NgSpice import Shared

        # PySpice applies NGSPICE_LIBRARY_PATH only when asked to.
        Shared.NgSpiceShared.setup_platform()
        self.shared = Shared.NgSpiceShared.new_instance()
        self.failures = (Shared.NgSpiceCircuitError, Shared.NgSpiceCommandError, NameError)
        self.log: list[str] = []

    def load(self, netlist: str) -> bool:
        """Load a circuit and return whether nothing was said against it."""
        try:
            self.shared.load_circuit(netlist)
        except self.failures as error:
            self._keep(f"the circuit was refused: {error}")
            return False
        return self._keep()

    def command(self, line: str) -> bool:
        """Run one command and return whether it printed no error.

        PySpice calls every note on stderr an error; only what reads like one counts here.
        """
        try:
            self.shared.exec_command(line)
        except self.failures as error:
            failed = "returned" in str(error)  # the library's own return code, not PySpice's reading of its notes
            return self._keep() and not failed
        return self._keep()

    def plots(self) -> list[str]:
        """Return the names of the plots that exist, newest first, without the table of constants."""
        return [name for name in self.shared.plot_names if name != "const"]

    def _keep(self, *more: str) -> bool:
        said = [*more, *(text for text in (self.shared.stdout, self.shared.stderr) if text)]
        self.log += said
        return not any(_ERROR.search(text) for text in said)


def _points(library: _Library, samples: list[list[str]]) -> Iterator[bytes]:
    """Yield the raw file of each sample's operating point; empty where anything was amiss.

    A sample is believed only if its commands printed no error and made exactly one new plot.
    """
    raw = Path(RAW)
    for commands in samples:
        raw.unlink(missing_ok=True)
        clean = [library.command(line) for line in commands]
        plots = library.plots()
        fresh = len(plots) == 1 and plots[0].startswith("op")
        written = all(clean) and fresh and library.command(f"write {RAW}") and raw.exists()
        yield raw.read_bytes() if written else b""
        library.command("destroy all")


def answer(library: _Library, header: dict[str, Any], netlist: str) -> tuple[dict[str, Any], bytes]:
    """Return the reply to one request.

    ``loaded``, ``removed``: whether the circuit went in and out cleanly; ``sizes``: bytes of each sample's raw
    file in the block; ``memory`` [bytes]; ``log``.
    """
    library.log.clear()
    loaded = not library.plots() and library.load(netlist)
    loaded = loaded and all(library.command(line) for line in header["setup"])
    blocks = list(_points(library, header["samples"])) if loaded else []
    removed = loaded and library.command("remcirc") and not library.plots()
    reply = {
        "loaded": loaded,
        "removed": removed,
        "sizes": [len(block) for block in blocks],
        "memory": memory(),
        "log": "\n".join(library.log),
    }
    return reply, b"".join(blocks)


def main() -> int:
    """Serve requests until standard input ends."""
    import logging

    logging.disable(logging.CRITICAL)  # PySpice logs every note of ngspice as an error
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        library = _Library()
    except OSError as error:
        print(error, file=sys.stderr)
        return CANNOT_LOAD
    while (request := read_frame(sys.stdin.buffer)) is not None:
        header, netlist = request
        write_frame(replies, *answer(library, header, netlist.decode()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
