"""Remove private content from frames: payloads are blanked, or reduced to what verdicts depend on."""
