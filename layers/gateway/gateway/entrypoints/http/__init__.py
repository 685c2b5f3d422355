"""The HTTP face: FastAPI applications and the wire format."""
