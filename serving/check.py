"""Compares a model's folder in a repository with the folder that `yolact-triton` would write for an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolact.runtime.errors import YolactError
from yolact.runtime.triton.model_facts import ModelFacts
from yolact.serving.engine_facts import EngineFacts
from yolact.serving.model_config import parse_text
from yolact.serving.readme import README
from yolact.serving.repository import CONFIG, ModelFolder, differences, model_folders, versions
from yolact.serving.settings import BACKENDS, Settings

OWN_TO_TUNE = ("instance_group", "dynamic_batching", "optimization", "version_policy", "model_warmup")
"""Parts of a configuration that change how quickly a model answers, but not its answers: users may edit them."""


def find_faults(repository: Path, engine: EngineFacts, name: str) -> list[str]:
    """The faults of a model in a repository, a sentence each; empty where it serves this engine.

    The settings are read from the configuration itself.
    """
    folder = repository / name
    if not folder.is_dir():
        return [f"there is no folder {folder}; write it with yolact-triton"]
    try:
        config = _read(folder)
        models = model_folders(engine, _settings(config, name))
    except (OSError, ValueError, YolactError) as error:
        return [f"{folder / CONFIG} cannot be used: {error}"]
    return [fault for model in models for fault in _faults_of(repository / model.name, model)]


def _read(folder: Path) -> Any:
    return parse_text((folder / CONFIG).read_bytes())


def _settings(config: Any, name: str) -> Settings:
    """The settings the model was written with. Raises EngineError or ValueError where they cannot be read."""
    facts = ModelFacts.from_parameters({key: one.string_value for key, one in config.parameters.items()}, name)
    backend = config.parameters["serving.backend"].string_value
    if backend not in BACKENDS:
        raise ValueError(f"its backend is {backend!r}")
    return Settings(
        name,
        facts.masks,
        backend,
        config.max_batch_size,
        score_threshold=facts.usual.score_threshold,
        top_k=facts.usual.top_k or 0,
    )


def _faults_of(folder: Path, model: ModelFolder) -> list[str]:
    if not folder.is_dir():
        return [f"there is no folder {folder}; write the repository again with yolact-triton"]
    faults = []
    for name, content in model.files.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{path} is missing")
        elif name == CONFIG:
            faults += _config_faults(path, content)
        elif name != README and path.read_bytes() != content:
            faults.append(f"{path} has other contents than this engine needs")
    existing = versions(folder)
    if not existing:
        return [*faults, f"{folder} has no version"]
    return faults + [f"{existing[-1] / name} is missing or has other contents" for name in differences(folder, model)]


def _config_faults(path: Path, content: bytes) -> list[str]:
    try:
        found, expected = parse_text(path.read_bytes()), parse_text(content)
    except ValueError as error:
        return [f"{path} is no configuration of Triton's: {error}"]
    for part in OWN_TO_TUNE:
        found.ClearField(part)
        expected.ClearField(part)
    names = {field.name for message in (found, expected) for field, _ in message.ListFields()}
    wrong = sorted(name for name in names if getattr(found, name) != getattr(expected, name))
    return [f"{path}: {name} has another value than this engine needs" for name in wrong]
