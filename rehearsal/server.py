"""What a server program says of itself before it is started."""

import re
import subprocess
from pathlib import Path

from experiment.errors import OptionsError


def refuse_without_migrateslots(program: Path, migration: str) -> None:
    """Refuse atomic migration with a server that does not know CLUSTER MIGRATESLOTS; Valkey has it from version 9 on.

    Raises:
        OptionsError: the server is another or older one, or does not say what it is.
    """
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
        answer = (ran.stdout or ran.stderr).strip()
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise OptionsError(f"--server {program}: `--version` failed: {error}") from error
    told = re.match(r"(Valkey|Redis) server v=(\d+)(\S*)", answer)
    if told is None:
        raise OptionsError(
            f"--server {program}: `--version` says {answer[:100]!r}; name a valkey-server or redis-server program"
        )
    if told[1] != "Valkey" or int(told[2]) < 9:
        raise OptionsError(
            f"--server {program} is {told[1]} {told[2]}{told[3]}, which does not know CLUSTER MIGRATESLOTS (Valkey 9 "
            f"does), so --migration {migration} cannot be used: add --migration slots"
        )
