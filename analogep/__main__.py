"""``python -m analogep``: the command line."""

from analogep.cli import main

if __name__ == "__main__":
    main()
