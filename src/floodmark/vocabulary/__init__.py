"""Names of vectors, payloads, services and protocols: pure tables that everything else may import."""
