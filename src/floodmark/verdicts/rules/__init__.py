"""Rules by family: each file examines one kind of traffic and decides what in it is an attack."""
