"""Gives the Python readers of strangers' files bytes that nobody thought of; a part of `make fuzz`.

    python tests/support/fuzz_readers [--seconds N] [--folder DIR]

With atheris (`pip install atheris`) what reaches new code is kept in the folder for the next time; without it the
mutants are those of the tests with other seeds. Exit code 0: nothing was found; 1: a fault, whose input is printed or
lies in the folder then.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="for all readers together  [default: 120]")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz" / "readers")
    parser.add_argument("--reader", help="run atheris on this one, in this process")
    given, rest = parser.parse_known_args()
    if given.reader:
        return _atheris(given.reader, rest)
    from file_readers import make_readers

    readers = make_readers()
    has_atheris = importlib.util.find_spec("atheris") is not None
    print("with atheris" if has_atheris else "without atheris, which pip install atheris adds: by seeded mutants")
    failed = False
    for name, reader in readers.items():
        seconds = max(1, given.seconds // len(readers))
        if not has_atheris:
            failed |= _seeded(name, seconds, given.folder)
            continue
        corpus = given.folder / name.replace(" ", "-")
        corpus.mkdir(parents=True, exist_ok=True)
        (corpus / "seed").write_bytes(reader.seed)
        options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-verbosity=0"]
        command = [sys.executable, __file__, "--reader", name, *options, f"-artifact_prefix={corpus}-fault-", corpus]
        failed |= subprocess.run(command, check=False).returncode != 0
        print(f"{name}: {len(list(corpus.iterdir()))} inputs that reach something of their own")
    return int(failed)


def _atheris(name: str, options: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["yolact"]):
        from file_readers import make_readers

        from yolact.runtime.errors import YolactError
    read = make_readers()[name].read

    def one(data: bytes) -> None:
        with contextlib.suppress(YolactError):
            read(data)

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()
    return 0


def _seeded(name: str, seconds: int, folder: Path) -> bool:
    """Whether a fault was found; its input is written into the folder."""
    from file_readers import make_readers
    from mutants import mutated

    from yolact.runtime.errors import YolactError

    reader, seed = make_readers()[name], time.time_ns()
    rng, end, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data, count = mutated(reader.seed, rng), count + 1
        try:
            reader.read(data)
        except YolactError:
            pass
        except Exception as error:  # whatever it is, it is what is looked for
            folder.mkdir(parents=True, exist_ok=True)
            fault = folder / f"{name.replace(' ', '-')}-fault-{seed}-{count}"
            fault.write_bytes(data)
            print(f"{name}: {type(error).__name__}: {error}; its input is {fault}")
            return True
    print(f"{name}: {count} mutants")
    return False


if __name__ == "__main__":
    sys.exit(main())
