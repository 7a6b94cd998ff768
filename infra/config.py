"""The settings as the running Pulumi program sees them."""

import pulumi
from pulumi.runtime import config as runtime_config

from infra.preflight import machine_problems
from infra.settings import Settings, SettingsError, check


def read(*, deploying: bool) -> Settings:
    """The stack's settings, checked.

    Before a deployment the machine is checked too, and an unencrypted password is refused; one error names every
    problem at once. pulumi.Config reads only names it is asked for, so misspelt ones are found in the list of all that
    were set.
    """
    prefix = pulumi.get_project() + ":"
    config = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    values = {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}
    problems = machine_problems() if deploying else []
    if deploying and values.get("cachePassword") and not runtime_config.is_config_secret(prefix + "cachePassword"):
        problems.append("cachePassword: it is in the stack file unencrypted; set it with `pulumi config set --secret`")
    try:
        settings = check(values)
    except SettingsError as error:
        problems = error.problems + problems
    else:
        if not problems:
            return settings
    # RunError ends the program with its message alone, without a stack trace.
    raise pulumi.RunError("Nothing was changed. To fix first:\n" + "\n".join(f"- {problem}" for problem in problems))
