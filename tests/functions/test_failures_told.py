"""What Lambda's log says of a failure that nobody foresaw: its kind and its place, and none of its words."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
from gateway.adapters.aws.wire.errors import AwsRefusal
from gateway.entrypoints.events.loop import EventFailed, run
from gateway.entrypoints.observability import start_logging

start_logging("INFO")


async def fail(error):
    try:
        raise KeyError("MARKEDPROMPT")
    except KeyError:
        raise error


for error in (
    ValueError("MARKEDPROMPT\\n{}"),
    AwsRefusal("Odd", "MARKEDPROMPT", status=400, operation="PutItem"),
):
    try:
        run(fail(error))
    except EventFailed as failed:
        assert str(failed) == type(error).__name__
        assert failed.__suppress_context__
"""


def test_a_failed_event_is_logged_on_one_line_by_kind_and_place_without_its_words() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    plain, of_aws = (json.loads(line) for line in done.stdout.splitlines())
    assert "MARKEDPROMPT" not in done.stdout + done.stderr
    assert (plain["message"], plain["exception_name"]) == ("event failed", "ValueError")
    assert "in fail" in plain["exception"]
    assert "builtins.KeyError" in plain["exception"]
    assert "gateway.adapters.aws.wire.errors.AwsRefusal: Odd of PutItem" in of_aws["exception"]
