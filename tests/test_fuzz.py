"""Mutants of every file that comes from elsewhere are read into checked values or refused in a sentence."""

from __future__ import annotations

import json
import random
import warnings

import pytest
from file_readers import as_json, make_readers
from mutants import mutate, mutated

from yolact.runtime.errors import YolactError

READERS = make_readers()


def check(name: str, data: bytes) -> bool:
    """Whether it was read. Anything but a `YolactError` with one printable line is a fault."""
    try:
        READERS[name].read(data)
    except YolactError as error:
        sentence = str(error)
        assert sentence and "Error(" not in sentence and len(sentence) < 5000, sentence
        return False
    return True


@pytest.mark.parametrize("name", READERS)
def test_mutants(name: str) -> None:
    reader, rng = READERS[name], random.Random(name)
    assert check(name, reader.seed), "the file to begin with is good"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about types of tensors
        for run in range(reader.runs):
            if reader.is_json and run % 2:
                values = json.loads(reader.seed)
                for _ in range(rng.choice((1, 1, 2, 5))):
                    mutate(values, rng)
                check(name, as_json(values))
            else:
                check(name, mutated(reader.seed, rng))
