"""What can be configured, which values are allowed, and how Hydra composes it."""
