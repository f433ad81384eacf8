"""The default model, for what only a model that understands can show."""
import os
import pathlib
import unittest

MODEL_NAME = "SmolLM2-135M-Instruct.Q4_1"


def model_path():
    if "LLMOS_TEST_MODEL" in os.environ:
        return pathlib.Path(os.environ["LLMOS_TEST_MODEL"])
    folder = os.environ.get("LLMOS_MODELS") or pathlib.Path.home() / ".local/share/llmos/models"
    return pathlib.Path(folder) / (MODEL_NAME + ".gguf")


needs_model = unittest.skipUnless(model_path().exists(), "no default model")
