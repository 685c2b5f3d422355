"""What an operator reads tells of everything that there is."""

from __future__ import annotations

import re

from tests.infra.transformed import ROOT, resources, source


def test_each_parameter_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs/deploy.md").read_text("utf-8")))
    assert set(source("template.yaml")["Parameters"]) <= explained


def test_each_alarm_has_its_runbook() -> None:
    chapters = set(re.findall(r"^### (\w+)$", (ROOT / "docs/operate.md").read_text("utf-8"), re.MULTILINE))
    alarms = {
        name
        for template in ("infra/alarms.yaml", "infra/endpoints.yaml")
        for name in resources(source(template), "AWS::CloudWatch::Alarm")
    }
    assert chapters == alarms
