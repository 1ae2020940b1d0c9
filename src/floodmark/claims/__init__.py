"""Claims about attacks held against an answer: whose hosts they are, how each unit is counted, whether the number holds."""
