"""The account function: a buffered ASGI application behind Mangum."""

from gateway.bootstrap.account import AccountFunction
from mangum import Mangum

app = AccountFunction.from_environment().account_app()
handler = Mangum(app, lifespan="off")
