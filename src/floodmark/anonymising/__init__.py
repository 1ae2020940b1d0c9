"""Captures that can be shared: addresses, names and payloads replaced under a key, and the answers still the same."""
