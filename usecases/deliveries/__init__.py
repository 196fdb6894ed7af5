"""Minutes that a parcel takes to the door: a declared regression without code."""
