"""The parser of every command line of the project: a usage error is one line and exit code 64."""

import argparse
from typing import NoReturn

from contract.exits import USAGE

EPILOG = (
    "Exit codes: 0 valid and every gate held, 1 a gate failed, 2 the run is INVALID or a step could not be finished, "
    "64 usage error, nothing was begun, 70 a defect of this program."
)


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line and exits 64."""

    def error(self, message: str) -> NoReturn:
        """End with the message alone."""
        shown = message if message.isprintable() else ascii(message)
        self.exit(USAGE, f"{self.prog}: {shown} (see {self.prog} --help)\n")
