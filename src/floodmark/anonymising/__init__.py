"""Anonymise captures for sharing: addresses, names and payloads are replaced under a key, and the results stay the same."""
