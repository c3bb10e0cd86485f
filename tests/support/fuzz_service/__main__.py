"""Gives examples/c_service bytes that libFuzzer makes, for as long as one likes; a part of `make fuzz`.

    python tests/support/fuzz_service [--seconds N] [--folder DIR]

It starts from the seeds of the tests and keeps what reaches new code in the folder, for the next time. Exit code 0:
nothing was found, or there is no clang with libFuzzer; 1: a fault, whose input is in the folder then.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from service_fuzzing import SERVICE, sources, write_seeds  # noqa: E402

FLAGS = ("-std=gnu11", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined")


def find_clang() -> list[str] | None:
    """CC where that is clang, else clang; None where it has no libFuzzer."""
    chosen = shlex.split(os.environ.get("CC", ""))
    compiler = chosen if chosen and "clang" in chosen[0] else ["clang"]
    if shutil.which(compiler[0]) is None:
        return None
    source = "int LLVMFuzzerTestOneInput(const unsigned char* data, unsigned long size) { return !data + !size; }"
    command = [*compiler, *FLAGS, "-x", "c", "-", "-o", os.devnull]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return compiler if done.returncode == 0 else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="[default: 120]")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz" / "service")
    given = parser.parse_args()
    compiler = find_clang()
    if compiler is None:
        print("examples/c_service is not fuzzed: there is no clang with libFuzzer -- apt-get install clang")
        return 0
    seeds, corpus, program = given.folder / "seeds", given.folder / "corpus", given.folder / "program"
    seeds.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(exist_ok=True)
    write_seeds(seeds)
    include = ["-I", SERVICE, "-I", ROOT / "runtime" / "capi"]
    command = [*compiler, *FLAGS, *include, *sources(), "-o", program, "-lm", "-pthread"]
    if subprocess.run(command, check=False).returncode != 0:
        return 1
    limits = [f"-max_total_time={given.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"]
    quiet = ["-close_fd_mask=1", "-verbosity=1", f"-artifact_prefix={given.folder}/fault-"]
    return int(subprocess.run([program, *limits, *quiet, corpus, seeds], check=False).returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
