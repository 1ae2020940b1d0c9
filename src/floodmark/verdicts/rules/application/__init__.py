"""Rules for attacks that abuse a protocol or an application."""
