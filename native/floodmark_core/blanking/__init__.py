"""Frames without what they must not tell: payloads blanked, or reduced to what verdicts rest on."""
