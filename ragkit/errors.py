"""Errors that a user can act on: each says what is wrong, where, and what to do."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class RagkitError(Exception):
    """Base of every error that ragkit raises on purpose; its text is meant for the user as it is."""


class InputError(RagkitError):
    """Something the user gave (file, key, value) is wrong; the CLI exits with status 2."""


class ReplyError(RagkitError):
    """A model's reply is not of the form that was asked for.

    Attributes:
        reply: what it replied, if it is known; a stage may still make something of it.
    """

    def __init__(self, message: str, reply: str = "") -> None:
        super().__init__(message)
        self.reply = reply


class MissingPackageError(RagkitError):
    """An optional package is not installed; the text holds the install command."""


class BudgetExceededError(RagkitError):
    """A question has used up one of its budgets; the engine ends the question with what it has."""

    def __init__(self, name: str, limit: float) -> None:
        super().__init__(f"the budget of {limit:g} {name} per question is used up")
        self.name = name
        self.limit = limit


class CancelledRunError(RagkitError):
    """The user stopped the run; what was answered so far is kept."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the closest choice, or an empty string when nothing is close."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""


def need(module: str, install: str, purpose: str) -> ModuleType:
    """Import an optional module, or raise MissingPackageError that says how to install it and what it is for."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == module.split(".")[0]:
            raise MissingPackageError(
                f"{purpose} needs the package '{module.split('.')[0]}': pip install {install}"
            ) from None
        raise
