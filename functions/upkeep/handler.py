"""The upkeep function: a schedule and SageMaker's state changes keep models and leases true."""

from gateway.bootstrap import Gateway

handler = Gateway.from_environment().upkeep_handler()
