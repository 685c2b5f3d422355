"""Calls to URLs that clients name."""
