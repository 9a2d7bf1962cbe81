"""What inventory decides. Pure: facts, time and randomness are arguments. What is refused is in `rules`."""
