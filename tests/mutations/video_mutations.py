"""Faults of videos and of what follows objects through them: times, damage, tracks, smoothing, stability."""

from __future__ import annotations

from mutation import Mutation

_TRACKER = ("test_tracker.py",)
_SMOOTHING = ("test_smoothing.py",)
_ASSIGNMENT = ("test_assignment.py",)
_FILMS = ("test_films.py",)
_STREAMS = ("test_streams.py",)
_DAMAGE = ("test_damage.py",)
_WRITER = ("test_writer.py",)
_PIPELINE = ("test_pipeline.py",)
_STEPS = ("test_steps.py",)
_FLOW = ("test_flow.py",)

VIDEO_MUTATIONS = (
    # runtime/tracking
    Mutation("lost-tracks-live-for-ever", "track.age <= self._settings.max_lost]", "track.age >= 0]", _TRACKER),
    Mutation("weak-detections-begin-tracks", "ranking_scores >= self._settings.start_score", "scores >= 0", _TRACKER),
    Mutation(
        "another-size-is-the-same-scene", "self._size, self._tracks = detections.image_size, []", "pass", _TRACKER
    ),
    Mutation("speed-of-the-last-frame-alone", "share = max(_NEW_SHARE, 1 / self.length)", "share = 1.0", _TRACKER),
    Mutation("ids-begin-at-0", "Track(self._last_id, class_id", "Track(self._last_id - 1, class_id", _TRACKER),
    Mutation(
        "boxes-move-by-their-middle-alone",
        "chosen = np.abs(moves - expected).argmin(axis=0)",
        "chosen = np.zeros(2, np.intp)",
        _TRACKER,
    ),
    Mutation(
        "assignment-takes-what-does-not-overlap",
        "gain[pairs[:, 0], pairs[:, 1]] > 0",
        "gain[pairs[:, 0], pairs[:, 1]] >= 0",
        _ASSIGNMENT,
    ),
    Mutation("assignment-forgets-prices", "row_price[row] += length - at", "row_price[row] += 0", _ASSIGNMENT),
    Mutation(
        "smoothed-boxes-lag",
        "expected = before.box + np.tile(velocity, 2)",
        "expected = before.box + 0 * np.tile(velocity, 2)",
        _SMOOTHING,
    ),
    Mutation("edges-are-known-within-a-pixel", "-_REACH, _REACH).astype", "-1, 1).astype", _SMOOTHING),
    # runtime/video
    Mutation(
        "times-do-not-begin-at-0",
        "return float(packet.pts * self._tick) - (self._origin or 0.0)",
        "return float(packet.pts * self._tick)",
        _FILMS,
    ),
    Mutation(
        "frames-that-never-came-are-none", "self._awaited.discard(round(time, 6))", "self._awaited.clear()", _DAMAGE
    ),
    Mutation(
        "corrupt-frames-are-whole", "        if is_corrupt:\n            self.note(time)", "        pass", _DAMAGE
    ),
    Mutation(
        "turned-the-other-way",
        "image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]",
        "image[:: -1 if a < 0 else 1, :: -1 if d < 0 else 1]",
        _FILMS,
    ),
    Mutation(
        "a-film-that-ends-early-is-whole",
        "is_early = is_early and packets < 0.98 * total - 1",
        "is_early = False",
        _FILMS,
    ),
    Mutation("a-stream-may-end", "        if self._is_endless:\n", "        if False:\n", _STREAMS),
    Mutation(
        "a-short-body-is-whole",
        "if not data and self._received < self.length:",
        "if not data and self._received < 0:",
        _STREAMS,
    ),
    Mutation(
        "attempts-are-counted-for-ever",
        "last, arrived, failures = frame.time + offset, now, 0",
        "last, arrived = frame.time + offset, now",
        _STREAMS,
    ),
    Mutation(
        "frames-of-the-stride-are-counted-from-1",
        "if frame.index % self.stride == 0:",
        "if frame.index % self.stride == self.stride - 1:",
        _STREAMS,
    ),
    Mutation(
        "odd-sizes-are-cut",
        "cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)",
        "image[: height - height % 2, : width - width % 2]",
        _WRITER,
    ),
    Mutation(
        "written-times-are-those-of-the-rate",
        "(self.frame_count / self._fps if time is None else time)",
        "(self.frame_count / self._fps)",
        _WRITER,
    ),
    Mutation(
        "frames-of-any-size",
        '        check_pixels(self.name, "video", stream.codec_context.width, stream.codec_context.height)\n',
        "",
        ("test_films.py",),
    ),
    # runtime/pipeline.py
    Mutation("any-number-of-items-waits", "len(self._items) < self._most or self._is_closed", "True", _PIPELINE),
    Mutation(
        "what-fails-ends-quietly",
        "if failure is not None and not self._is_closed:",
        "if failure is None and not self._is_closed:",
        _PIPELINE,
    ),
    Mutation("stages-are-left-open", "for one in reversed(made):", "for one in made[:1]:", _PIPELINE),
    # training/evaluation/stability
    Mutation(
        "masks-beyond-the-frame-count",
        "seen = [mask & move.seen for mask in after.masks]",
        "seen = list(after.masks)",
        _STEPS,
    ),
    Mutation(
        "another-class-is-the-same",
        "ious[before.class_ids[stays][:, None] != after.class_ids[come]] = 0",
        "pass",
        _STEPS,
    ),
    Mutation("any-flow-is-trusted", "<= MOST_ASTRAY\n", "<= 1e9\n", _FLOW),
    Mutation(
        "masks-go-the-other-way",
        "mask.astype(np.float32), self._flow.back, 0)",
        "mask.astype(np.float32), self._flow.forth, 0)",
        _FLOW,
    ),
    Mutation("every-camera-moves", "mean()) > STILL_CAMERA)", "mean()) > 0)", _FLOW),
    Mutation("no-object-moves", "if self.moves_camera() or self.moves_one(masks):", "if self.moves_camera():", _FLOW),
    Mutation("boxes-stay", "return 1 + slope, steps.mean() - slope * middle", "return 1.0, 0.0", _FLOW),
)
