"""The process in which PySpice's shared ngspice runs; started by :mod:`analogep.spice.pyspice` only.

In its working directory it finds ``circuit.cir`` and ``commands.txt``; its commands write raw files there.
Exit status 3: the library could not be loaded; 4: the circuit was refused.
"""

from __future__ import annotations

import sys
from pathlib import Path

CANNOT_LOAD, REFUSED = 3, 4


def main() -> int:
    """Load the circuit and run the commands; failures of single commands show as missing files."""
    from PySpice.Spice.NgSpice.Shared import NgSpiceCircuitError, NgSpiceCommandError, NgSpiceShared

    # PySpice applies NGSPICE_LIBRARY_PATH only when asked to.
    NgSpiceShared.setup_platform()
    try:
        shared = NgSpiceShared.new_instance()
    except OSError as error:
        print(error)
        return CANNOT_LOAD
    try:
        shared.load_circuit(Path("circuit.cir").read_text())
    except (NgSpiceCircuitError, NameError) as error:
        print(f"Error: the circuit was refused: {error}\n{shared.stdout}\n{shared.stderr}")
        return REFUSED
    for command in Path("commands.txt").read_text().splitlines():
        try:
            shared.exec_command(command)
        except (NgSpiceCommandError, NameError):
            # PySpice calls every note on stderr an error. What failed shows in what it did not write.
            print(f"{command}: {shared.stdout} {shared.stderr}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
