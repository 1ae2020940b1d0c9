"""Turn findings into events: when, how fast, from whom; what is ordinary traffic; what could not be assessed."""
