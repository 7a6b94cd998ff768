"""`python -m rehearsal`: add a shard to a real cluster under load on this machine, and report what it did."""

import sys
from collections.abc import Sequence

from rehearsal import options
from rehearsal.run import Rehearsal
from rehearsal.view import View


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        chosen = options.read(given)
    except options.UsageError as error:
        sys.stderr.write("".join(f"python -m rehearsal: {line}\n" for line in str(error).splitlines()))
        return options.USAGE
    with View() as view:
        return Rehearsal(chosen, view).run()


if __name__ == "__main__":
    sys.exit(main())
