"""The code of the MLflow model that `served` writes; MLflow copies this file and runs it where the model is loaded."""

import mlflow

from experiments import places

places.prepare_environment()

from experiments.runs.served import Served  # noqa: E402

mlflow.models.set_model(Served())
