"""The function's settings."""

import pytest

from function import cache_settings
from function.cache_settings import CacheSettings, EnvironmentRefusedError

_GOOD = {
    "CACHE_HOST": "cache.example",
    "CACHE_PORT": "6379",
    "CACHE_TLS": "true",
    "CACHE_CONNECTION": "reused",
    "CACHE_USERNAME": "app",
    "CACHE_PASSWORD": "secret",
}


def test_a_declared_environment_is_read_whole() -> None:
    """Every declared variable has a meaning here: one that is not read would be a setting without effect."""
    assert cache_settings.read(_GOOD) == CacheSettings(
        "cache.example", 6379, tls=True, reused=True, username="app", password="secret"
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CACHE_HOST", "", "CACHE_HOST is empty"),
        ("CACHE_PORT", "redis", "CACHE_PORT is 'redis'"),
        ("CACHE_PORT", "0", "CACHE_PORT is '0'"),
        ("CACHE_PORT", "65536", "CACHE_PORT is '65536'"),
        ("CACHE_PORT", "²", "CACHE_PORT is '²'"),
        ("CACHE_TLS", "yes", "CACHE_TLS is 'yes': set it to true or false"),
        ("CACHE_CONNECTION", "", "CACHE_CONNECTION is '': set it to fresh or reused"),
        ("CACHE_PASSWORD", "", "CACHE_USERNAME is set and CACHE_PASSWORD is empty"),
    ],
)
def test_what_is_wrong_is_named_with_the_value_seen(name: str, value: str, says: str) -> None:
    """Whoever declared it finds the variable in the log without reading this code."""
    with pytest.raises(EnvironmentRefusedError) as refused:
        cache_settings.read(_GOOD | {name: value})
    assert says in str(refused.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One deployment is enough to learn of four mistakes."""
    with pytest.raises(EnvironmentRefusedError) as refused:
        cache_settings.read({})
    assert all(name in str(refused.value) for name in ("CACHE_HOST", "CACHE_PORT", "CACHE_TLS", "CACHE_CONNECTION"))


def test_the_password_never_reaches_a_message() -> None:
    """Messages end in the log, which more people may read than the password."""
    cache = cache_settings.read(_GOOD)
    assert "secret" not in f"{cache} {cache!r}"
