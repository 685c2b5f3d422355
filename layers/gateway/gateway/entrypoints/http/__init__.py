"""The HTTP face: Starlette applications and the wire format."""
