"""What a pipeline file may do: importing classes outside the known packages needs the user's word."""

from contextvars import ContextVar

_CODE_ALLOWED: ContextVar[bool] = ContextVar("ragkit_code_allowed", default=False)


def allow_code(allowed: bool = True) -> None:
    """Let pipelines that are loaded from now on in this context name any Python class (`--allow-code`)."""
    _CODE_ALLOWED.set(allowed)


def code_allowed() -> bool:
    """Return whether the user has allowed pipelines to name any Python class."""
    return _CODE_ALLOWED.get()
