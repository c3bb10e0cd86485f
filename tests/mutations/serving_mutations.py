"""Faults of serving by Triton and of batch jobs: whose answer is whose, what a repository holds, what is done once."""

from __future__ import annotations

from mutation import Mutation

_ANSWERING = ("test_answering.py",)
_REPOSITORY = ("test_repository.py",)
_LISTING = ("test_listing.py",)
_RESUMING = ("test_resuming.py",)
_BATCH = ("test_batch_cli.py",)
_RESULTS = ("test_batch_results.py", "test_eval_of_results.py")

SERVING_MUTATIONS = (
    # serving
    Mutation(
        "one-bad-image-fails-the-batch",
        "results = [one if isinstance(one, YolactError) else next(found) for one in loaded]",
        "results = [next(found) for one in loaded]",
        _ANSWERING,
    ),
    Mutation(
        "all-requests-get-the-first-one's-selection",
        "common = wishes.pop() if len(wishes) == 1 else None",
        "common = asked[0][1]",
        _ANSWERING,
    ),
    Mutation(
        "an-empty-request-is-answered-with-nothing",
        'return loaded or UsageError("the request has no image; send at least one")',
        "return loaded",
        _ANSWERING,
    ),
    Mutation(
        "errors-do-not-tell-which-image",
        'which = f"image {number} of {len(loaded)}: " if len(loaded) > 1 else ""',
        'which = ""',
        _ANSWERING,
    ),
    Mutation("old-versions-stay-for-ever", "for old in existing[:-1]:", "for old in existing[:0]:", _REPOSITORY),
    Mutation("the-version-in-use-is-removed", "for old in existing[:-1]:", "for old in existing:", _REPOSITORY),
    Mutation(
        "versions-are-sorted-as-text",
        "return sorted(found, key=lambda path: int(path.name))",
        "return sorted(found, key=lambda path: path.name)",
        _REPOSITORY,
    ),
    Mutation("files-of-one-size-are-the-same", " and sha256_of(path) == sha256_of(content)", "", _REPOSITORY),
    Mutation("strangers-in-a-repository-pass", "if strangers:", "if False:", _REPOSITORY),
    Mutation(
        "anybody's-model-is-overwritten",
        'if not config.is_file() or b"serving.engine_sha256" not in config.read_bytes():',
        "if not config.is_file():",
        _REPOSITORY,
    ),
    Mutation(
        "check-overlooks-a-part-of-the-configuration",
        "wrong = sorted(name for name in names if getattr(found, name) != getattr(expected, name))",
        'wrong = sorted(name for name in names & {"input"} if getattr(found, name) != getattr(expected, name))',
        _REPOSITORY,
    ),
    Mutation(
        "check-refuses-what-users-may-tune",
        "        found.ClearField(part)\n        expected.ClearField(part)\n",
        "        pass\n",
        _REPOSITORY,
    ),
    Mutation(
        "check-does-not-read-other-files",
        "elif name != README and path.read_bytes() != content:",
        "elif False:",
        _REPOSITORY,
    ),
    Mutation(
        "a-fixed-batch-is-a-dimension-twice",
        "config.max_batch_size = 0 if fixed else",
        "config.max_batch_size = fixed or",
        _REPOSITORY,
    ),
    # batch
    Mutation(
        "changed-images-count-as-done",
        "values = [[e.path, e.first, e.images, e.image_id, e.size, e.mtime] for e in self.entries]",
        "values = [[e.path, e.first, e.images, e.image_id] for e in self.entries]",
        _RESUMING,
    ),
    Mutation(
        "new-images-move-the-parts",
        'start = int(pc.max(known["part"]).as_py()) + 1 if len(known) else 0',
        "start = 0",
        _RESUMING,
    ),
    Mutation(
        "a-part-grows-past-its-size", "if held >= size:", "if held >= 2 * size:", (*_RESUMING, *_LISTING, *_BATCH)
    ),
    Mutation(
        "a-changed-table-goes-on",
        'wrong = known.filter(pc.and_(changed, pc.is_valid(known["first"])))',
        "wrong = known.slice(0, 0)",
        _RESUMING,
    ),
    Mutation(
        "a-damaged-part-counts-as-done", "page_checksum_verification=True", "page_checksum_verification=False", _RESULTS
    ),
    Mutation(
        "a-part-under-another-name-counts",
        'if file.path.rpartition("/")[2] != part_name(summary.number):',
        "if False:",
        _RESUMING,
    ),
    Mutation(
        "another-engine's-results-are-mixed-in",
        "if begun.engine_sha256 != now.engine_sha256:",
        "if begun.engine != now.engine:",
        _RESUMING,
    ),
    Mutation(
        "other-options-are-mixed-in",
        'for name in ("input", "column", "masks", "score_threshold"):',
        'for name in ("input", "column"):',
        _RESUMING,
    ),
    Mutation("a-part-is-begun-for-ever", "    if before >= MOST:", "    if before >= 1000:", (*_RESUMING, *_BATCH)),
    Mutation(
        "attempts-are-not-forgotten",
        "    finally:\n        file.remove()",
        "    finally:\n        pass",
        (*_RESUMING, *_BATCH),
    ),
    Mutation(
        "the-worker-takes-any-engine",
        "if not engine.is_file() or sha256_of(engine) != settings.engine_sha256:",
        "if not engine.is_file():",
        (*_RESUMING, *_BATCH),
    ),
    Mutation(
        "rows-of-errors-count-as-detections",
        'detections = [] if first["rank"] is None else [first, *others]',
        "detections = [first, *others]",
        _RESULTS,
    ),
)
