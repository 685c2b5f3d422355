"""The chat function: an ASGI application that uvicorn serves behind the Lambda Web Adapter (`run.sh`)."""

from gateway.bootstrap import Gateway

app = Gateway.from_environment().chat_app()
