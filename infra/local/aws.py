"""The child that is AWS: moto's server with the resources of template.yaml and the local account in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Event

from infra.local.credentials import ACCOUNT_ID, REGION, STACK_NAME
from infra.local.parent import Parent


def main(parent: Parent) -> None:
    """Serve until the supervisor's end."""
    order = parent.receive()
    parent.at_its_end(lambda: _end(Path(order["state"])))
    # a second of imports, after the lifeline is held
    from infra.local.functions import read_functions  # noqa: PLC0415
    from infra.local.moto_server import run_moto  # noqa: PLC0415
    from infra.local.pipes import read_pipes, start_pipes  # noqa: PLC0415
    from infra.local.resources import Resources  # noqa: PLC0415
    from infra.local.rules import make_rules  # noqa: PLC0415
    from infra.local.schedules import start_schedules  # noqa: PLC0415
    from infra.local.seed import seed  # noqa: PLC0415
    from infra.local.template import load_template  # noqa: PLC0415

    with run_moto() as url:
        os.environ["AWS_ENDPOINT_URL"] = url
        root = Path(order["root"])
        template = load_template(root / "template.yaml", region=REGION, account_id=ACCOUNT_ID, stack_name=STACK_NAME)
        resources = Resources(template, stack_name=STACK_NAME)
        resources.make_all()
        functions = read_functions(template, resources, root=root)
        make_rules([rule for function in functions for rule in function.rules])
        start_pipes(read_pipes(template, resources))
        start_schedules()
        environment = {name: value for function in functions for name, value in function.environment.items()}
        api_key = seed({**os.environ, **environment}, order["api_key"])
        parent.report(
            "ready",
            endpoints={"AWS_ENDPOINT_URL": url},
            api_key=api_key,
            functions=[function.as_json() for function in functions],
        )
        Event().wait()


def _end(state: Path) -> None:
    """A supervisor that was killed left its directory; this child ends last."""
    shutil.rmtree(state, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    Parent().run(main)
