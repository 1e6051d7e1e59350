"""The command with standard streams that are full, closed, or that nobody reads: one line at most, no traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

FULL = "Error: Standard output cannot be written: No space left on device. Send it elsewhere; what the command has "
CLOSED = FULL.replace("No space left on device", "Bad file descriptor")
TRAIN = "train mlp --dataset digits --limit 100 --epochs 1 --no-report --output run"

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="takes a shell and a device that is full")


def _run(arguments: str, streams: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with its streams redirected as in a shell."""
    line = f"{shlex.quote(sys.executable)} -m zoo {arguments} {streams}"
    surroundings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=surroundings, check=False)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "streams", "words"),
    [
        ("list", ">/dev/full", FULL),
        ("list --json", ">/dev/full", FULL),
        ("data list", ">&-", CLOSED),
        ("cite lenet5 --json", ">&-", CLOSED),
        ("--help", ">/dev/full", FULL),
        ("--version", ">&-", CLOSED),
        ("list", "1</dev/null", CLOSED),
        ("list", ">&- 2>&-", ""),
        ("list", ">/dev/full 2>/dev/full <&-", ""),
    ],
)
def test_lost_output_is_one_line_and_exit_code_1(arguments, streams, words, unbuffered):
    """Whatever prints it, be it click: nothing more, also when the interpreter ends."""
    done = _run(arguments, streams, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == bool(words)


@pytest.mark.parametrize(
    ("arguments", "streams", "code", "words"),
    [
        ("show nothing", ">/dev/full", 1, "Error: There is no model 'nothing'."),
        ("list --nonsense", ">&-", 2, "Error: No such option '--nonsense'."),
    ],
)
def test_what_else_went_wrong_is_said_instead(arguments, streams, code, words):
    """The error that the command has anyway, with its own exit code."""
    done = _run(arguments, streams)
    assert done.returncode == code
    assert words in done.stderr
    assert "Standard output" not in done.stderr


@pytest.mark.parametrize("form", ["", "--json"])
def test_a_reader_that_has_gone_wants_no_message(form):
    """As with ``zoo list | head -1``: exit code 1, and nothing on standard error."""
    command = [sys.executable, "-m", "zoo", "list", *form.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_status_that_nobody_can_read_is_no_reason_to_fail(streams):
    """Progress is dropped; the result is printed."""
    done = _run(TRAIN, streams)
    assert done.returncode == 0
    assert "Test accuracy" in done.stdout
    assert Path("run/run.json").exists()


def test_a_run_whose_result_cannot_be_printed_is_saved():
    """It is trained to its end, and only then told."""
    done = _run(f"{TRAIN} --json --quiet", ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith(FULL)
    assert done.stderr.count("\n") == 1
    assert Path("run/run.json").exists()


def test_no_file_takes_the_place_of_a_closed_stream():
    """What a library prints into a closed descriptor would otherwise end in the file that was opened next."""
    program = "\n".join(
        [
            "import contextlib, os, zoo.cli, zoo.report.models.text as show",
            "def print_models(rows):",
            "    with open('file', 'w'), contextlib.suppress(OSError):",
            "        os.write(1, b'printed')",
            "show.print_models = print_models",
            "zoo.cli.main(['list'])",
        ]
    )
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} >&-"
    subprocess.run(["sh", "-c", line], check=False)
    assert Path("file").read_text() == ""
