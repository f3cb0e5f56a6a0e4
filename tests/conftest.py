import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Let Ctrl-C work here and in child processes, also where tests run in the background of a shell, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
