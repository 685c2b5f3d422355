"""The faces: HTTP and AWS events."""
