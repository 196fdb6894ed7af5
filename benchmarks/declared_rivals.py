"""Rivals of a declared use case: `python -m benchmarks.declared_rivals KIND PORT NAME [FILE]`.

Both validate the same body by the same model. `constant` answers a constant; `tutorial` answers
with a scikit-learn pipeline as a first service is usually written: unpickled once, a DataFrame
built for each call.
"""

import pickle
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from usecases import load_serving


def constant_app(model: type[BaseModel]) -> FastAPI:
    app = FastAPI()

    async def predict(body: Any) -> dict[str, Any]:  # noqa: ARG001
        return {"prediction": "no", "probability": 0.01, "version": "1.0.0"}

    predict.__annotations__["body"] = model
    app.post("/predict")(predict)
    return app


def tutorial_app(model: type[BaseModel], fitted: Path) -> FastAPI:
    import pandas as pd  # noqa: PLC0415 - the other rival needs none of this

    app = FastAPI()
    with fitted.open("rb") as file:
        pipeline, columns = pickle.load(file)

    def predict(body: Any) -> dict[str, Any]:
        frame = pd.DataFrame([body.model_dump()])[columns]
        probability = float(pipeline.predict_proba(frame)[0, 1])
        prediction = "yes" if probability >= 0.5 else "no"
        return {"prediction": prediction, "probability": probability, "version": "1.0.0"}

    predict.__annotations__["body"] = model
    app.post("/predict")(predict)
    return app


def main() -> None:
    kind, port, name, *rest = sys.argv[1:]
    model = load_serving(name).request_model
    app = constant_app(model) if kind == "constant" else tutorial_app(model, Path(rest[0]))
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
