"""AWS adapters: botocore calls in, our values and our errors out."""
