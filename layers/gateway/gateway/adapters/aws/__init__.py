"""AWS adapters: its calls in, our values and our errors out."""
