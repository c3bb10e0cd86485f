"""examples/kubernetes: what Kubernetes' schemas say of it, and whether the service does what is written there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT
from service_process import Service

FOLDER = ROOT / "examples" / "kubernetes"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))

OLDEST, NEWEST = "1.29", "1.37"
"""Releases of Kubernetes with whose schemas they are compared."""

PREDICTOR = {"minReplicas": int, "maxReplicas": int, "scaleMetric": str, "scaleTarget": int, "timeout": int}
"""Of KServe's `PredictorSpec` (v1beta1), what these files have beside the fields of a pod; `timeout` is in seconds,
`scaleMetric` one of cpu, memory, concurrency and rps."""


def read(name: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed -- pip install '.[dev]'")
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def check(document: dict[str, Any], *versions: str) -> None:
    """Raises ValueError where the document is not what these versions of the API take."""
    validator = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed -- pip install '.[dev]'"
    )
    if document["kind"] == "InferenceService":
        document = as_pod(document)
    for version in versions:
        try:
            assert validator.validate(document, version, strict=True) == version
        except validator.ValidationError as error:
            raise ValueError(error.message) from None


def as_pod(document: dict[str, Any]) -> dict[str, Any]:
    """The pod that KServe makes of an InferenceService, whose other fields are checked here."""
    expected = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
    predictor = dict(document["spec"]["predictor"])
    own = {name: predictor.pop(name) for name in PREDICTOR if name in predictor}
    if (
        document.keys() != {*expected, "metadata", "spec"}
        or document | expected != document
        or document["spec"].keys() != {"predictor"}
        or own.keys() != PREDICTOR.keys()
        or any(not isinstance(value, PREDICTOR[name]) for name, value in own.items())
        or own["scaleMetric"] not in ("cpu", "memory", "concurrency", "rps")
        or not 0 <= own["minReplicas"] <= own["maxReplicas"]
    ):
        raise ValueError(f"no InferenceService: {document}")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": document["metadata"], "spec": predictor}


def pods(name: str) -> Iterator[dict[str, Any]]:
    for document in read(name):
        if document["kind"] == "Deployment":
            yield document["spec"]["template"]["spec"]
        if document["kind"] == "InferenceService":
            yield document["spec"]["predictor"]


@pytest.mark.parametrize("name", FILES)
def test_schemas(name: str) -> None:
    documents = read(name)
    assert documents
    for document in documents:
        check(document, OLDEST, NEWEST)


def deployment(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(read("c-service.yaml")[0])
    change(document["spec"]["template"]["spec"]["containers"][0])
    return document


def predictor(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(read("kserve-c-service.yaml")[0])
    change(document["spec"]["predictor"])
    return document


@pytest.mark.parametrize(
    ("make", "change", "said"),
    [
        (deployment, lambda container: container.update(livenesProbe={}), "livenesProbe"),
        (deployment, lambda container: container["livenessProbe"].update(periodSeconds="10"), "'10' is not"),
        (deployment, lambda container: container["livenessProbe"]["httpGet"].pop("port"), "'port' is a required"),
        (predictor, lambda spec: spec.update(minReplica=1), "minReplica"),
        (predictor, lambda spec: spec.update(minReplicas="1"), "no InferenceService"),
        (predictor, lambda spec: spec.update(minReplicas=5), "no InferenceService"),
        (predictor, lambda spec: spec.update(scaleMetric="load"), "no InferenceService"),
        (predictor, lambda spec: spec["containers"][0]["ports"][0].update(containerPort="8080"), "'8080' is not"),
    ],
)
def test_the_check_finds_mistakes(
    make: Callable[..., dict[str, Any]], change: Callable[..., object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        check(make(change), NEWEST)


@pytest.mark.parametrize("name", FILES)
def test_parts_that_no_schema_compares(name: str) -> None:
    """Ports that probes and services name, selectors, and an end that is given the time it needs."""
    (pod,) = pods(name)
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in {*ports, *ports.values()}
    (wait,) = container["lifecycle"]["preStop"]["exec"]["command"][1:]
    options = dict(argument.removeprefix("--").split("=") for argument in container["args"])
    ending = options.get("drain-limit") or options["exit-timeout-secs"]
    assert float(wait) + float(ending) < pod["terminationGracePeriodSeconds"]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    mounts = {mount["name"] for mount in container.get("volumeMounts", ())}
    assert mounts == {volume["name"] for volume in pod.get("volumes", ())}
    for document in read(name):
        if document["kind"] == "Service":
            deployed = read(name)[0]["spec"]
            assert document["spec"]["selector"] == deployed["selector"]["matchLabels"]
            assert document["spec"]["selector"] == deployed["template"]["metadata"]["labels"]
            assert {port["targetPort"] for port in document["spec"]["ports"]} == {*ports}


@pytest.mark.parametrize("name", [name for name in FILES if "c-service" in name])
def test_the_service_takes_these_options_and_answers_these_probes(
    name: str, service_program: Path, tiny_engine: Path
) -> None:
    (pod,) = pods(name)
    (container,) = pod["containers"]
    elsewhere = ("--engine=", "--host=", "--port=")
    arguments = [argument for argument in container["args"] if not argument.startswith(elsewhere)]
    assert len(arguments) == len(container["args"]) - len(elsewhere)
    with Service(service_program, tiny_engine, *arguments) as service:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert service.request("GET", container[probe]["httpGet"]["path"]).status == 200


@pytest.mark.parametrize("kind", ["", "kserve-"])
def test_both_servers_are_probed_alike(kind: str) -> None:
    """So that one may take the place of the other."""
    paths = [
        [pod["containers"][0][probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")]
        for server in ("c-service", "triton")
        for pod in pods(f"{kind}{server}.yaml")
    ]
    assert paths[0] == paths[1]
