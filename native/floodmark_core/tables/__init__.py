"""Tables of flows grouped, ranked, picked and added up."""
