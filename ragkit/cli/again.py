"""The command that goes on with what was stopped."""

import shlex
import sys
from pathlib import Path

BEFORE = "No question was asked yet; what was read and embedded is kept. To go on, give the same command again."
"""What a command says that was stopped while it prepared its documents."""


def to_go_on(folder: Path) -> str:
    """Return the present command with `--out` naming the folder."""
    arguments, skip = [], False
    for argument in sys.argv[1:]:
        if skip or argument == "--out" or argument.startswith("--out="):
            skip = argument == "--out"
            continue
        arguments.append(argument)
    return shlex.join(["ragkit", *arguments, "--out", str(folder)])
