import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Let Ctrl-C work here and in child processes, also where a shell runs the tests in its background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
