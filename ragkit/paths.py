"""Where ragkit keeps what it makes."""

import os
from pathlib import Path

from platformdirs import user_cache_dir


def project_dir() -> Path:
    """Return the folder for indexes and the call cache: $RAGKIT_HOME, or `.ragkit` in the current folder."""
    return Path(os.environ.get("RAGKIT_HOME") or ".ragkit")


def models_dir() -> Path:
    """Return the folder for converted models: $RAGKIT_HOME/models, or the user's cache."""
    home = os.environ.get("RAGKIT_HOME")
    return Path(home) / "models" if home else Path(user_cache_dir("ragkit")) / "models"
