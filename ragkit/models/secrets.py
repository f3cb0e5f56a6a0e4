"""What in settings is secret: keys, passwords and tokens by their names, and passwords in URLs."""

import re
from collections.abc import Mapping
from typing import Any

_SECRET = re.compile(
    r"((^|[-_])auth|key|secrets?|password|passwd|passphrase|token|credentials?|authorization|headers?"
    r"|(api|access|secret|private|auth|bearer)[-_]?(keys|tokens))$",
    re.IGNORECASE,
)
# Tokens of a text.
_HARMLESS = re.compile(r"(^|_)(stop|eos|bos|pad|unk|sep|cls|mask|start|end|eot|per)_token$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]+@")
_URL_PARAMETER = re.compile(r"([?&]([\w-]+)=)[^&#\s]+")
MASK = "***"


def is_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret."""
    return _SECRET.search(name) is not None and _HARMLESS.search(name) is None


def mask_url_secrets(text: str) -> str:
    """Hide passwords (`user:password@`) and secret parameters of the URLs in a text."""
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    return _URL_PARAMETER.sub(lambda found: found[1] + MASK if is_secret(found[2]) else found[0], text)


def mask_secrets(data: Any) -> Any:
    """Return settings with `***` for the secret values of mappings, and without the passwords in URLs.

    What says that a secret is not set (None, an empty text, a truth value) stays.
    """
    if isinstance(data, Mapping):
        return {
            name: MASK if is_secret(str(name)) and value and value is not True else mask_secrets(value)
            for name, value in data.items()
        }
    if isinstance(data, (list, tuple)):
        return [mask_secrets(item) for item in data]
    return mask_url_secrets(data) if isinstance(data, str) else data
