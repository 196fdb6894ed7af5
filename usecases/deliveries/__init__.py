"""How many minutes a parcel takes to the door: a regression that is declared and has no code."""
