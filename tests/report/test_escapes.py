"""Every text of a run folder is planted with attacks, and every output is searched for one that got through."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

from contract import runfolder
from experiment.screen import Screen
from report.__main__ import main
from report.escapes import chart_label, markdown, printable, script_data, terminal, terminal_lines
from tests.report.test_cycles import cycles_run
from tools import synthetic, synthetic_aws

IN_ONE_LINE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>\" onmouseover='alert(1)' "
    '<a href="https://evil.example">x</a>[x](https://evil.example)![x](//evil.example)|`x`**x**@all #1 www.evil.example'
    "\x1b[31m\x1b]8;;https://evil.example\x07\x9b2J\x00\x7f\u202e\u2066\u200b\u2028&lt;{{7*7}}%s\\ ##[error]x ##vso[x"
)
ATTACK = f"{IN_ONE_LINE}\r\n::error::x\n# x\n  ::set-env::x\n"
KEPT = {  # what decides how a line is read
    "event", "type", "node", "role", "group", "metric", "namespace", "where", "timings", "kind", "cause",
}  # fmt: skip


def planted(value: Any, kept: set[str], key: str = "") -> Any:
    """JSON with the attack before each of its texts, but for those of the keys `kept`."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        names = {name: name if name in KNOWN_KEYS or name in kept else ATTACK + name for name, _ in pairs}
        return {names[name]: planted(inner, kept, name) for name, inner in pairs}
    if isinstance(value, list):
        return [planted(inner, kept, key) for inner in cast("list[Any]", value)]
    return ATTACK + value if isinstance(value, str) and key not in kept else value


KNOWN_KEYS: set[str] = set()
"""Keys that the plain folders have, except those of tables with free names."""
FREE = ("clock", "generator_cpu", "settings", "versions", "above_range")


def keys_of(value: Any) -> set[str]:
    """Every key of JSON, but for free names."""
    if isinstance(value, list):
        return {key for inner in cast("list[Any]", value) for key in keys_of(inner)}
    if not isinstance(value, dict):
        return set()
    pairs = cast("dict[str, Any]", value).items()
    return {key for key, _ in pairs} | {key for name, inner in pairs if name not in FREE for key in keys_of(inner)}


def plant(run: Path, kept: set[str]) -> None:
    """Plant the attack in every text of every file of the run."""
    for path in run.glob("*.json*"):
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        lines = [json.loads(text) for text in texts]
        KNOWN_KEYS.update(*map(keys_of, lines))
        path.write_text("".join(json.dumps(planted(line, kept)) + "\n" for line in lines))
    for name in (runfolder.SECONDS, runfolder.ARRIVALS):
        rows = list(csv.reader((run / name).read_text().splitlines()))
        columns = [rows[0].index(column) for column in ("causes", "outcome") if column in rows[0]]
        in_a_field = re.sub(r"[ ,]", "", IN_ONE_LINE)[:90]
        for row in rows[1:] if "outcome" not in kept else []:
            for column in columns:
                row[column] = f"{in_a_field}:1" if name == runfolder.SECONDS else in_a_field
        (run / name).write_text("\n".join(map(",".join, rows)) + "\n")


class Elements(HTMLParser):
    """The elements of a page, and what is in its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.scripts: list[str] = []
        self.text = ""
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        """A script ends."""
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        """Keep it."""
        if self._in_script:
            self.scripts.append(data)
        else:
            self.text += data


def strings(value: Any) -> list[str]:
    """Every text of JSON, keys included."""
    if isinstance(value, dict):
        return [text for key, inner in cast("dict[str, Any]", value).items() for text in (key, *strings(inner))]
    if isinstance(value, list):
        return [text for inner in cast("list[Any]", value) for text in strings(inner)]
    return [value] if isinstance(value, str) else []


def holds_nothing_unseen(text: str) -> None:
    """No character but those that can be seen, and ends of lines."""
    assert {character for character in text if not character.isprintable()} <= {"\n"}


def harmless_page(page: str) -> None:
    """Elements, attributes and links are the templates' own; so are the scripts; chart texts hold no HTML."""
    elements = Elements(page)
    assert elements.tags & {"img", "a", "script"} <= {"img", "a", "script"}
    assert {name for name, _ in elements.attributes if name.startswith("on")} == set()
    assert all(value.startswith("#") for name, value in elements.attributes if name == "href")
    assert all(value.startswith("data:") for name, value in elements.attributes if name == "src")
    assert len(elements.scripts) == 3
    holds_nothing_unseen(elements.text + "".join(value for _, value in elements.attributes))
    labels = strings(json.loads(elements.scripts[0]))
    assert not [label for label in labels if "<" in label or not label.isprintable()]


def harmless_terminal(text: str) -> None:
    """No sequence, and no command of a CI system."""
    holds_nothing_unseen(text)
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    assert not re.search(r"##\w*\[", text)


def harmless_markdown(text: str) -> None:
    """One heading, no link, no HTML, and as many cells in each row of a table as in its head."""
    holds_nothing_unseen(text)
    assert not re.search(r"[<\[\]`]|://|www\.|@", text)
    assert [line for line in text.splitlines() if line.startswith("#")] == [text.splitlines()[0]]
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def on_aws(path: Path) -> Path:
    """A run on AWS with metrics."""
    run = synthetic.write(path, synthetic_aws.ON_AWS)
    synthetic_aws.write_metrics(run)
    return run


KINDS: dict[str, Callable[[Path], Path]] = {
    "reshard": lambda path: synthetic.write(
        path, synthetic.Synthetic(failures=[(20.0, "http_500", "x")], run={"problems": ["x"], "gates": []})
    ),
    "cycles": lambda path: synthetic.write(path, cycles_run(atomic=True)),
    "aws": on_aws,
}


@pytest.mark.parametrize("kept", [KEPT, {"timings"}], ids=["values", "names too"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_of_a_run_folder_acts_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, kept: set[str]
) -> None:
    """Planted in every text field, no attack reaches the page, its charts, Markdown, JSON, pictures or the terminal."""
    run = KINDS[kind](tmp_path / "run")
    plant(run, kept)
    assert main([str(run), "--no-gates"]) in (0, 1, 2)
    assert main(["compare", str(run), str(run), "--out", str(tmp_path / "compare.html")]) in (0, 2)
    said = capsys.readouterr()
    harmless_terminal(said.out + said.err)
    for page in (run / "report.html", tmp_path / "compare.html"):
        text = page.read_text(encoding="utf-8")
        harmless_page(text)
        assert "onmouseover" in text  # it is shown, as text
    harmless_markdown((run / "report.md").read_text(encoding="utf-8"))
    drawing = (run / "timeline.svg").read_text(encoding="utf-8")
    elements = ET.fromstring(drawing).iter()  # noqa: S314 - matplotlib has just written it
    assert not [element for element in elements if "script" in str(element.tag)]
    holds_nothing_unseen(drawing)
    data = (run / "report.json").read_text(encoding="utf-8")
    holds_nothing_unseen(data)
    assert IN_ONE_LINE[:60] in "".join(strings(json.loads(data)))


@pytest.mark.parametrize("words", [["{run}"], ["compare", "{run}", "{run}"]])
def test_an_error_that_quotes_a_file_is_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """A run.json of no known format, or with gates that are none, is refused in one harmless line."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"format": ATTACK}))
    assert main([word.format(run=run) for word in words]) == 64
    said = capsys.readouterr().err
    harmless_terminal(said)
    assert said.count("\n") == 1


def test_what_an_experiment_prints_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps, lines and problems of an experiment quote nodes, AWS and the master: each line is escaped."""
    with Screen() as screen, screen.step("up"):
        screen.say(ATTACK)
        screen.problem(ATTACK)
        screen.progress(ATTACK)
        screen.table([(ATTACK, ATTACK)])
    said = capsys.readouterr()
    harmless_terminal(said.out)
    harmless_terminal(said.err)
    assert "onmouseover" in said.out
    assert "onmouseover" in said.err


@pytest.mark.parametrize(
    ("escape", "text", "shown"),
    [
        (printable, "Wärme 日本 #5", "Wärme 日本 #5"),
        (printable, "a\x1b[31m\tb\u202e\xa0c\ud800", "a\\x1b[31m\\tb\\u202e c\\ud800"),
        (terminal, "  ::error::x", "  \\x3a:error::x"),
        (terminal, "a ::error::x", "a ::error::x"),
        (terminal, "x ##[error]y ##vso[a]", "x \\x23#[error]y \\x23#vso[a]"),
        (terminal, "phase #2 ## [x]", "phase #2 ## [x]"),
        (terminal_lines, "a\n::b\r", "a\n\\x3a:b\\r"),
        (chart_label, '<a href="x">&lt;', '&lt;a href="x"&gt;&amp;lt;'),
        (markdown, "a|b [c](d) *e* `f`\ng", "a&#124;b &#91;c&#93;(d) &#42;e&#42; &#96;f&#96;&#92;ng"),
        (markdown, "https://a www.b, 5:1", "https&#58;//a www&#46;b, 5:1"),
        (script_data, "</script>", '"\\u003c/script\\u003e"'),
    ],
)
def test_each_place_has_its_escape(escape: Callable[[str], str], text: str, shown: str) -> None:
    """What acts in one place is shown there as it is written, and honest text stays as it is."""
    assert escape(text) == shown
