"""Which frames of a video are told to be damaged, from what a decoder says of each."""

from __future__ import annotations

import pytest

from yolact.runtime.video.damage import Damage

TIMES = (0.0, 0.1, 0.2, 0.3, 2.0)


@pytest.mark.parametrize(
    ("codec", "missing", "corrupt", "interlaced", "told"),
    [
        ("h264", (), (), False, ""),
        ("h264", (0.1,), (), False, "0.10 s"),
        ("h264", (0.1, 0.2, 2.0), (), False, "0.10 s to 0.20 s and 2.00 s"),
        ("h264", (0.0,), (), False, ""),  # before the first one that is shown
        ("h264", (), (0.2,), False, "0.20 s"),
        ("h264", (0.1,), (2.0,), False, "0.10 s and 2.00 s"),
        ("h264", (0.1,), (0.2,), True, "0.20 s"),  # a packet may be a field
        ("vp8", (0.1,), (0.3,), False, "0.30 s"),  # a packet may never be shown
    ],
)
def test_what_is_missing_or_corrupt(
    codec: str, missing: tuple[float, ...], corrupt: tuple[float, ...], interlaced: bool, told: str
) -> None:
    damage = Damage(codec)
    for time in TIMES:
        damage.expect(time)
    for time in TIMES:
        if time not in missing:
            damage.show(time, time in corrupt, interlaced)
    assert damage.describe() == told
