"""Capture containers: find records, parse their headers and copy them."""
