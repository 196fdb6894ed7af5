"""ONNX graphs of fitted models, and the proof that both compute the same."""
