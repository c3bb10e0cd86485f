"""How a network arrives at its masks, in numbers and in pictures."""
