"""The chat function."""

from __future__ import annotations

from gateway.adapters.system import reseed
from gateway.application.access import Access
from gateway.bootstrap.parts.generation import Generation
from gateway.entrypoints.http.chat import ChatServices, build_chat_app
from gateway.entrypoints.http.envelope import Envelope


class ChatFunction(Generation):
    """Answers at once, streamed or whole."""

    def chat_app(self) -> Envelope:
        """The application of the chat function."""
        hooks = {
            self.settings.aws_lwa_snapstart_before_checkpoint_path: self.before_snapshot,
            self.settings.aws_lwa_snapstart_after_restore_path: self.after_restore,
        }
        return build_chat_app(
            ChatServices(
                access=Access(self.accounts, self.clock),
                orders=self.orders,
                generate=self.generate,
                clock=self.clock,
                ids=self.ids,
                max_body_bytes=self.settings.max_body_bytes,
                on_settled=self.telemetry.settled,
                warm_up=self.warm_up,
                snapshot_hooks={path: step for path, step in hooks.items() if path},
            )
        )

    def warm_up(self) -> None:
        """Makes what the first request would otherwise make; connections it opens none, for a snapshot keeps none."""
        self.clients.wire("dynamodb")
        self.clients.wire("sagemaker-runtime")

    def before_snapshot(self) -> None:
        """Readies this process for a snapshot: what a request needs has been loaded, and nothing in it belongs to one
        environment, neither a connection nor credentials."""
        self.warm_up()
        self.clients.forget()

    def after_restore(self) -> None:
        """Gives a restored process what must be its own: randomness, credentials, connections."""
        reseed()
        self.clients.forget()
        self.warm_up()
