r"""Text from outside (a run folder, a file's name, what a cluster said) made harmless for the place where it is shown.

One function for each place. All of them show a character that cannot be seen, or that changes how others are shown, as
its escape: `\x1b`, `\u202e`.
"""

import html
import json
import re
import unicodedata
from typing import Any

_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\w*\[)")
"""What a CI system takes as a command in a log: `::error::` at a line's start, `##[error]` and `##vso[` anywhere."""
_MARKDOWN = {ord(sign): f"&#{ord(sign)};" for sign in "\\`*_[]<>|#~$!&@"}
_MARKDOWN_LINK = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
_IN_SCRIPT = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
_IN_JSON = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""What JSON may hold as it is and a terminal acts on."""


def printable(text: object) -> str:
    """One line of characters that can be seen: for the pictures, and the first step of every other place."""
    shown = str(text)
    return shown if shown.isprintable() else "".join(map(_seen, shown))


def _seen(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else character.encode("unicode_escape").decode("ascii")


def terminal(text: object) -> str:
    """One line of a terminal or of a pipeline's log: no sequence moves the cursor, no line is a command."""
    return _COMMAND.sub(lambda match: f"{match[1] or ''}\\x{ord(match[0][-1]):02x}", printable(text))


def terminal_lines(text: object) -> str:
    """Text of several lines, each for itself."""
    return "\n".join(map(terminal, str(text).split("\n")))


def in_template(value: object) -> object:
    """A value of a template, before the template escapes it for HTML; markup of the project's own stays as it is."""
    return printable(value) if type(value) is str else value


def chart_label(text: str) -> str:
    """A text of a chart: plotly.js makes elements, links among them, of the HTML in it."""
    return html.escape(printable(text), quote=False)


def markdown(text: object) -> str:
    """A text of Markdown, in a cell of a table too: no markup, mention, reference or link."""
    return _MARKDOWN_LINK.sub(lambda match: f"&#{ord(match[0])};", printable(text).translate(_MARKDOWN))


def script_data(value: object) -> str:
    """JSON that can stand inside a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.translate(_IN_SCRIPT)


def json_file(value: Any) -> str:
    """JSON for a file, which somebody may show on a terminal."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"
