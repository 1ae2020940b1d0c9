"""Meter packets into flows, and provide the flow columns that all higher layers use."""
