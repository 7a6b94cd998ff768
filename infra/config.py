"""The settings as the running Pulumi program sees them."""

import pulumi
from pulumi.runtime import config as runtime_config

from infra.preflight import under_mocks
from infra.settings import Settings, SettingsError, check


def read(machine_problems: list[str]) -> Settings:
    """The stack's settings, checked; `machine_problems` are reported with theirs, so that one run names everything.

    pulumi.Config can only be asked for names that are known; a misspelt one is seen by listing all that were set.
    """
    prefix = pulumi.get_project() + ":"
    given = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    values = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    problems = list(machine_problems)
    if (
        values.get("cachePassword")
        and not under_mocks()
        and not runtime_config.is_config_secret(prefix + "cachePassword")
    ):
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
