"""The upkeep function: a schedule and SageMaker's state changes keep models and leases true."""

from gateway.bootstrap.upkeep import UpkeepFunction

handler = UpkeepFunction.from_environment().upkeep_handler()
