"""What finished steps leave behind, so that a run which died goes on after the last of them."""
