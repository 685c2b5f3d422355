"""The child that is API Gateway and the functions behind it: one uvicorn on the port."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from infra.local.failure import CannotStart
from infra.local.parent import Parent

_GRACE_S = 1


def main(parent: Parent) -> None:
    """Serve until the supervisor's end; requests under way then have a second."""
    listener = _bind(parent.receive()["port"])
    parent.report("bound", base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    # What the apps import takes longer than making the table: do it meanwhile.
    import gateway.bootstrap.account  # noqa: PLC0415
    import gateway.bootstrap.chat  # noqa: F401, PLC0415
    import uvicorn  # noqa: PLC0415

    from infra.local.dispatch import Dispatcher  # noqa: PLC0415
    from infra.local.entry import load_entries  # noqa: PLC0415
    from infra.local.front import FrontProtocol  # noqa: PLC0415
    from infra.local.functions import Function  # noqa: PLC0415

    order = parent.receive()
    os.environ.update(order["endpoints"])
    functions = [function for fields in order["functions"] if (function := Function.from_json(fields)).routes]
    modules = load_entries(functions, "app.py", "handler.py")
    app = Dispatcher([(module.app, function.routes) for module, function in zip(modules, functions, strict=True)])

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                parent.report("ready")

    server = Server(
        uvicorn.Config(
            app,
            http=FrontProtocol,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    parent.at_its_end(lambda: setattr(server, "should_exit", True))
    asyncio.run(server.serve(sockets=[listener]))
    if not server.started:
        raise CannotStart("The API did not start: a function's startup failed.")


def _bind(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)
    except OSError as error:
        why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise CannotStart(f"Port {port} {why}; choose another with PORT=.") from None
    return listener


if __name__ == "__main__":
    Parent().run(main)
