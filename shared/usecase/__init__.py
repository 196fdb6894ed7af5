"""The use-case interface, in two halves: serving and learning.

The scoring service loads only `ServingUseCase` and so never imports a training library;
the retraining service loads `LearningUseCase`. `usecases.load_serving(name)` and
`usecases.load_learning(name)` find them. Copy a use case to bring your own model.
"""
