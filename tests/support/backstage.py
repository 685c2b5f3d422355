"""What happens behind the account application of a stack: queued messages are taken out and worked off, by hand."""

from __future__ import annotations

from typing import Any

from gateway.adapters.aws.queues import JOB_REFS, STEPS

from tests.support.stack import MODEL, Stack


class Backstage:
    """The worker and the intake, called for the messages that are there now."""

    def __init__(self, stack: Stack, **environment: str) -> None:
        self._stack = stack
        variables = {**stack.functions["IntakeFunction"].environment, **stack.functions["WorkerFunction"].environment}
        self.gateway = stack.make_gateway(**variables, **environment)
        self._jobs_url = (
            self.gateway.settings.jobs_queue_url_prefix + self.gateway.catalogue.models[MODEL].resource_slug
        )

    def forget(self) -> None:
        """Drops what other tests of this stack left in the queues."""
        self._take(self._jobs_url)
        self._take(self.gateway.settings.intake_queue_url)

    def work(self) -> int:
        """Runs the jobs that wait at the model; returns how many messages there were."""
        bodies = self._take(self._jobs_url)
        for body in bodies:
            self._stack.run(self.gateway.run_job(JOB_REFS.validate_json(body)))
        return len(bodies)

    def take_steps(self) -> int:
        """Takes the steps that batches wait for; returns how many there were."""
        bodies = self._take(self.gateway.settings.intake_queue_url)
        for body in bodies:
            self._stack.run(self.gateway.intake.step(STEPS.validate_json(body)))
        return len(bodies)

    def run_out(self) -> None:
        """Works everything off."""
        while self.take_steps() + self.work():
            pass

    def _take(self, url: str) -> list[str]:
        sqs, bodies = self.gateway.clients.get("sqs"), []
        arguments: dict[str, Any] = {"QueueUrl": url, "MaxNumberOfMessages": 10}
        while messages := sqs.receive_message(**arguments).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies
