"""The chat function: an ASGI application that uvicorn serves behind the Lambda Web Adapter (`run.sh`)."""

from gateway.bootstrap.chat import ChatFunction

app = ChatFunction.from_environment().chat_app()
