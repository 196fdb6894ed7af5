"""From fitted models to ONNX graphs that say the same, and the proof that they do."""
