"""The event face: envelopes of AWS event sources."""
