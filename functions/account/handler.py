"""The account function: a buffered ASGI application behind Mangum."""

from gateway.bootstrap import Gateway
from mangum import Mangum

app = Gateway.from_environment().account_app()
handler = Mangum(app, lifespan="off")
