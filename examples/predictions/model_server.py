"""A model behind HTTP: it is trained at the start, and counts what it predicts.

`uvicorn model_server:app` runs it.
"""

from fastapi import FastAPI
from pydantic import BaseModel, PositiveFloat
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

IRIS = load_iris()  # 150 flowers that come with the library
MODEL = RandomForestClassifier(n_estimators=200, random_state=0).fit(IRIS.data, IRIS.target)

app = FastAPI()
app.state.predictions = 0


class Flower(BaseModel):
    """Lengths and widths in centimetres."""

    sepal_length: PositiveFloat
    sepal_width: PositiveFloat
    petal_length: PositiveFloat
    petal_width: PositiveFloat


class Prediction(BaseModel):
    species: str
    probability: float


# No caching here: who asks through Redis asks for the same flower once. An `async` endpoint runs
# one call at a time, which suits a model that keeps a processor busy, and the count.
@app.post("/predict")
async def predict(flower: Flower) -> Prediction:
    app.state.predictions += 1
    features = [[flower.sepal_length, flower.sepal_width, flower.petal_length, flower.petal_width]]
    probabilities = MODEL.predict_proba(features)[0]
    best = int(probabilities.argmax())
    return Prediction(species=IRIS.target_names[best], probability=round(probabilities[best], 3))


@app.get("/predictions")
async def predictions() -> int:
    """How many were made, for who wants to see that the cache works."""
    return app.state.predictions
