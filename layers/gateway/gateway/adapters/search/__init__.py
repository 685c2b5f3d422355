"""Search back ends. Each module is imported only when configuration chooses it (`gateway.bootstrap`)."""
