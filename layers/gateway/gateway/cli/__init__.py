"""The operator's command, `studiolm-admin`."""
