"""Turn flows into findings: what a capture shows of each host, and the rules that judge it."""
