"""What commands print where the console cannot show it, or would obey it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripted_engine import write_photo

from yolact.cli.command import note, say
from yolact.cli.main import main
from yolact.runtime.wording import printable

NAME = "name with spaces 100% ä 漢字 'q' #&;.png"

SHOWN = [
    ("plain, ä, 漢字, \N{SNOWMAN}, \N{FAMILY}", "utf-8", "plain, ä, 漢字, \N{SNOWMAN}, \N{FAMILY}"),
    ("ä 漢", "cp1252", r"ä \u6f22"),
    ("ä 漢", "latin-1", r"ä \u6f22"),
    ("ä \N{FAMILY}", "ascii", r"\xe4 \U0001f46a"),
    ("a\x1b[31mred\x07", "utf-8", r"a\x1b[31mred\x07"),
    ("one\ntwo\r\tthree", "utf-8", r"one\ntwo\r\tthree"),
    ("\x9b31m\x85", "utf-8", r"\x9b31m\x85"),
    ("\u2028\u2029", "utf-8", r"\u2028\u2029"),
    ("gnp\u202efdp.exe\u2066", "utf-8", r"gnp\u202efdp.exe\u2066"),
    ("half \ud800, a byte \udce4", "utf-8", r"half \ud800, a byte \udce4"),
    ("a\u200bb\ufeffc\u00add\u2060", "utf-8", r"a\u200bb\ufeffc\xadd\u2060"),
    ("tag\U000e0041\U000e0001", "utf-8", r"tag\U000e0041\U000e0001"),
    ("\u061c\u200e\u200f\u202a\u2069\ufff9", "utf-8", r"\u061c\u200e\u200f\u202a\u2069\ufff9"),
    ("joined\u200cwith\u200d", "utf-8", "joined\u200cwith\u200d"),
]


@pytest.mark.parametrize(("text", "encoding", "expected"), SHOWN)
def test_printable(text: str, encoding: str, expected: str) -> None:
    assert printable(text, encoding) == expected


@pytest.mark.parametrize("print_line", [say, note])
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "utf-8"])
def test_lines_reach_a_stream_of_any_encoding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, print_line: object, encoding: str
) -> None:
    path = tmp_path / "stream"
    with path.open("w", encoding=encoding, errors="strict", newline="") as stream:
        monkeypatch.setattr(sys, "stdout" if print_line is say else "stderr", stream)
        print_line("漢\x1b\ud800ä")  # type: ignore[operator]
        monkeypatch.undo()
    assert path.read_bytes().decode(encoding) == printable("漢\x1b\ud800ä", encoding) + "\n"


ENCODINGS = {
    "a Windows pipe": {"PYTHONIOENCODING": "cp1252"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "the C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
}


@pytest.mark.parametrize("environment", ENCODINGS.values(), ids=list(ENCODINGS))
def test_pictures_with_any_name_are_done(engine: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    names = [NAME, "\x1b[31mnext\n.png", "plain.png"]
    for name in names:
        write_photo(tmp_path / name)
    command = [sys.executable, "-m", "yolact.cli.infer", "--engine", str(engine), "--json", str(tmp_path / "f.json")]
    command += ["--output", str(tmp_path / "out"), *(str(tmp_path / name) for name in names)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout and len(done.stdout.splitlines()) == 3
    assert (rb"\udce6\udcbc\udca2" if environment.get("LC_ALL") == "C" else rb"\u6f22") in done.stdout
    rows = json.loads((tmp_path / "f.json").read_text())
    if environment.get("LC_ALL") != "C":  # there the file system itself has another encoding
        assert [Path(row["source"]).name for row in rows] == names


def test_a_command_without_standard_streams_does_its_work(engine: Path, tmp_path: Path) -> None:
    """Nor does what libraries print get into the file that was opened in the place of stderr."""
    write_photo(tmp_path / "a.png")
    command = [sys.executable, "-m", "yolact.cli.infer", "--engine", str(engine), "--json", "f.json", "a.png"]
    line = f"exec {shlex.join(command)} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path).returncode == 0
    assert [row["source"] for row in json.loads((tmp_path / "f.json").read_text())] == ["a.png"]


@pytest.mark.parametrize("arguments", [["\x1b[2J"], ["infer", "--\x1b[2J"], ["infer", "--engine", "a\x1b\nb", "x"]])
def test_usage_errors_cannot_command_the_terminal(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and "\x1b" not in done.output and r"\x1b" in done.output
