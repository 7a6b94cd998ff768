"""The generator's options: what cannot be used is named, with what was given and what is allowed."""

from argparse import ArgumentParser, Namespace
from typing import Any

import pytest

from loadgen import options as load_options
from loadgen.options import OptionError

HERE = "http://127.0.0.1:1"


class LocustLikeParser(ArgumentParser):
    """Locust's parser takes two arguments more for each option."""

    def add_argument(self, *flags: Any, env_var: str, include_in_web_ui: bool, **settings: Any) -> Any:
        """An option without its variable and its place in the form."""
        del env_var, include_in_web_ui
        return super().add_argument(*flags, **settings)


def parsed(*options: str) -> Namespace:
    """The options as the command line gives them."""
    parser = LocustLikeParser(add_help=False)
    load_options.add(parser)
    return parser.parse_args(options)


@pytest.mark.parametrize(
    ("host", "options", "message"),
    [
        (HERE, ["--load-profile", "nosuch"], "load profile 'nosuch': no such profile or file"),
        (HERE, ["--load-scale", "many"], "load scale 'many': must be a number above 0"),
        ("https://127.0.0.1", [], "host 'https://127.0.0.1': must be an URL such as"),
        (HERE, ["--load-time-limit-s", "0"], "--load-time-limit-s '0': must be a number"),
        (HERE, ["--load-max-in-flight", "none"], "--load-max-in-flight 'none': must be a number"),
        (HERE, ["--load-warm", "-1"], "--load-warm '-1': must be peak, or a whole number"),
        (None, [], "--host is missing"),
    ],
)
def test_options_that_cannot_be_used_are_named(host: str | None, options: list[str], message: str) -> None:
    """Whoever starts a load learns which option is wrong before anything is sent."""
    with pytest.raises(OptionError) as caught:
        load_options.spec_of(parsed(*options), host)
    assert message in str(caught.value)
