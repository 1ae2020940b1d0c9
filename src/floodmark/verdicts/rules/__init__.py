"""Rules by family: each file looks at one kind of traffic and says what in it would be an attack."""
