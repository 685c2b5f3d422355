"""Search back ends. Each module is imported only when configuration chooses it (`bootstrap/parts/searching.py`)."""
