"""Make, seal, log and verify evidence bundles."""
