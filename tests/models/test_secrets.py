import pytest

from ragkit.models.secrets import is_secret, mask_secrets


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "api_keys",
        "openaiApiKey",
        "auth",
        "basic_auth",
        "Authorization",
        "hf_token",
        "access_tokens",
        "headers",
    ],
)
def test_secret_names(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["stop_token", "eos_token", "max_tokens", "api_key_env", "author", "top_k", "keys"])
def test_harmless_names(name):
    assert not is_secret(name)


def test_masking():
    data = {
        "model": {"api_key": "s1", "kwargs": {"headers": {"x": "s2"}, "password": None, "use_auth_token": True}},
        "urls": ("https://me:s3@host:80/v1?api_key=s4&page=2#x", "http://host/a:b@c"),
        "max_tokens": 5,
    }
    assert mask_secrets(data) == {
        "model": {"api_key": "***", "kwargs": {"headers": "***", "password": None, "use_auth_token": True}},
        "urls": ["https://me:***@host:80/v1?api_key=***&page=2#x", "http://host/a:b@c"],
        "max_tokens": 5,
    }
