"""What the frameworks do by themselves: one endpoint that writes an upload to a file, and nothing else."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from fastapi import FastAPI, UploadFile
from flask import Flask, request

FOLDER = "BARE_FOLDER"


def flask_app() -> Flask:
    app, folder = Flask(__name__), Path(os.environ[FOLDER])

    @app.post("/api/upload")
    def upload() -> dict[str, bool]:
        request.files["audio"].save(folder / str(uuid.uuid4()))
        return {"success": True}

    return app


def fastapi_app() -> FastAPI:
    app, folder = FastAPI(), Path(os.environ[FOLDER])

    @app.post("/api/upload")
    def upload(audio: UploadFile) -> dict[str, Any]:
        with (folder / str(uuid.uuid4())).open("wb") as file:
            shutil.copyfileobj(audio.file, file, 1024 * 1024)
        return {"success": True}

    return app
