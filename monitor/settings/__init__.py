"""Configuration: YAML and environment become frozen objects once, at the door."""
