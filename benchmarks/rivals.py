"""Servers to compare with: `python -m benchmarks.rivals constant|tutorial PORT [FILE]`.

Both validate the same body with FastAPI. `constant` answers a constant; `tutorial` answers
with the three fitted models as a first service is usually written: unpickled once, a
DataFrame built for each call. It gets its features for nothing: it reads no history.
"""

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from usecases.fraud.requests import TransactionRequest


def constant_app() -> FastAPI:
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: TransactionRequest) -> dict[str, Any]:  # noqa: ARG001
        return {"is_fraud": False, "probability": 0.01, "version": "1.0.0"}

    return app


def tutorial_app(models: Path) -> FastAPI:
    import polars as pl  # noqa: PLC0415 - the other rival needs none of this
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    app = FastAPI()
    with models.open("rb") as file:
        fitted, features = pickle.load(file)
    # One warning for each tree and call: writing them would dominate. A filter does not help: the
    # libraries replace the filters, from several threads at once.
    warnings.showwarning = _say_nothing

    @app.post("/predict")
    def predict(body: TransactionRequest) -> dict[str, Any]:
        frame = pl.DataFrame({**features, "amount": [body.amount]})
        matrix = frame.to_numpy().astype("float32")
        probability = float(fitted.classifier.score(matrix)[0])
        anomaly = float(fitted.isolation_forest.score(matrix)[0])
        error = float(fitted.autoencoder.score(matrix)[0])
        return {"is_fraud": probability > 0.5, "probability": probability,
                "anomaly_score": anomaly, "error": error, "version": "1.0.0"}  # fmt: skip

    return app


def _say_nothing(*_: object, **__: object) -> None:
    """Instead of a line on the terminal."""


def main() -> None:
    kind, port, *rest = sys.argv[1:]
    app = constant_app() if kind == "constant" else tutorial_app(Path(rest[0]))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
