"""The wire protocols of model servers: pure mappings on plain dicts, and what they share."""
