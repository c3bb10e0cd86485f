"""Faults of `hub` and of the names of models: what is downloaded, what is kept, what is taken for what."""

from __future__ import annotations

from mutation import Mutation

_UNTIL_RELEASED = """time.sleep(_WAIT_SECONDS)
        except LockUnavailable:
            yield
            return
    try:
        yield
    finally:
"""

HUB_MUTATIONS = (
    Mutation(
        "hub-takes-what-is-not-listed",
        "    if has_digest(path, wanted.digest):\n        return path\n",
        "    if path.is_file():\n        return path\n",
        ("test_client.py",),
    ),
    Mutation("hub-keeps-what-is-wrong", "    for one in (path, contents):", "    for one in ():", ("test_client.py",)),
    Mutation(
        "hub-takes-changed-files-of-the-cache",
        "    if has_digest(cached, wanted.digest):",
        "    if cached.is_file():",
        ("test_client.py",),
    ),
    Mutation(
        "hub-removes-former-versions",
        "    if cached.resolve().name == wanted.digest:",
        "    if cached.resolve().name != wanted.digest:",
        ("test_client.py",),
    ),
    Mutation("hub-asks-while-offline", "    if client.constants.HF_HUB_OFFLINE:", "    if False:", ("test_client.py",)),
    Mutation(
        "hub-checks-nothing-offline",
        "    if check and _DIGEST.fullmatch(digest)",
        "    if not check and _DIGEST.fullmatch(digest)",
        ("test_client.py",),
    ),
    Mutation(
        "hub-forgets-the-revision",
        "            repository.id,\n            revision=repository.revision,",
        "            repository.id,\n            revision=None,",
        ("test_client.py",),
    ),
    Mutation(
        "hub-takes-the-first-of-two", "        if len(found) > 1:", "        if len(found) > 2:", ("test_client.py",)
    ),
    Mutation("hub-takes-names-that-lead-out", ' and ".." not in name.split("/"))', ")", ("test_client.py",)),
    Mutation(
        "hub-git-digest-without-its-head",
        'hashlib.sha1(b"blob %d\\0" %',
        'hashlib.sha1(b"file %d\\0" %',
        ("test_client.py",),
    ),
    Mutation(
        "engine-cache-believes-what-is-there",
        "return bool(record) and all(",
        "return bool(record) or all(",
        ("test_engine_cache.py",),
    ),
    Mutation(
        "engine-cache-without-its-lock-makes-twice",
        "            if is_whole(entry):  # another process",
        "            if False:  # another process",
        ("test_engine_cache.py",),
    ),
    Mutation(
        "engine-cache-leaves-what-failed",
        "        shutil.rmtree(folder, ignore_errors=True)\n\n\ndef _remove_leftovers",
        "        pass\n\n\ndef _remove_leftovers",
        ("test_engine_cache.py",),
    ),
    Mutation(
        "engine-cache-leaves-its-locks",
        f"{_UNTIL_RELEASED}        path.unlink(missing_ok=True)\n        lock.release()",
        f"{_UNTIL_RELEASED}        lock.release()",
        ("test_engine_cache.py",),
    ),
    Mutation(
        "engine-cache-key-without-the-configuration",
        'sha256_of(beside) if beside.is_file() else ""',
        '""',
        ("test_exporting.py",),
    ),
    Mutation(
        "exports-a-plan-for-a-cpu",
        'if not only_onnx and (device is None or device.kind == "cuda"):',
        "if not only_onnx:",
        ("test_exporting.py",),
    ),
    Mutation(
        "missing-checkpoints-are-looked-for-on-the-hub",
        '(match["file"] is None and Path(text).suffix.lower() in _FILE_SUFFIXES)',
        "False",
        ("test_model_names.py",),
    ),
    Mutation(
        "folders-are-looked-for-on-the-hub",
        "    if is_folder and repository is not None:",
        "    if False and repository is not None:",
        ("test_model_names.py",),
    ),
)
