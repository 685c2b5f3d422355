"""What the ports are made of: AWS and search back ends."""
