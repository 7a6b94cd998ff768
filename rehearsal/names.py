"""Replaces declared names by local addresses."""


class LocalNames:
    """Replaces declared names (with their ports, if any) by local addresses, in variables and commands.

    A name without a local counterpart stays as it is and fails, as a wrongly declared name would on AWS.
    `substitutions` goes into run.json, so a reader sees what differs from AWS.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.substitutions: dict[str, str] = {}

    def stand_in(self, name: str, here: str, description: str) -> None:
        """`here` replaces the declared `name`; `description` says what it is."""
        self._names[name] = here
        self.substitutions[description] = f"{name} -> {here}"

    def local(self, text: str) -> str:
        """`text` with declared names replaced, longest names first."""
        for name in sorted(self._names, key=len, reverse=True):
            text = text.replace(name, self._names[name])
        return text
