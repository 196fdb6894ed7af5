"""One past decision with all it rests on: the stored row, its scores, and what explains them."""
