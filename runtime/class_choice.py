"""The classes that a user names for a command."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence

from yolact.runtime.class_names import visible
from yolact.runtime.errors import UsageError
from yolact.runtime.wording import list_some, printable


def parse_classes(text: str, class_names: Sequence[str]) -> list[int]:
    """Class ids for names (in any case) or ids separated by commas; of a name that several classes have, all of them.

    Names may have commas, of which the longest name wins; line breaks and the like in them may be written as blanks or
    as they are shown.

    Raises UsageError for a word that is neither, with the names that come closest.
    """
    ids: dict[str, list[int]] = {}
    for index, name in enumerate(class_names):
        for key in {_class_key(name), _class_key(printable(name))}:
            ids.setdefault(key, []).append(index)
    for index in range(len(class_names)):
        ids.setdefault(str(index), [index])
    text = _as_text(text)
    most = 1 + max((name.count(",") for name in class_names), default=0)
    parts, chosen = text.split(","), list[int]()
    while parts:
        joined = (",".join(parts[:count]) for count in range(min(most, len(parts)), 0, -1))
        found = next((word for word in joined if _class_key(word) in ids), None)
        if found is None:
            raise _unknown_class(parts[0].strip(), class_names)
        chosen += ids[_class_key(found)]
        del parts[: found.count(",") + 1]
    return chosen


def _as_text(argument: str) -> str:
    """The typed text, where Python read bytes of the command line in a locale that lacks their letters."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise UsageError(
            f"--classes {argument}: expected UTF-8, got other bytes; set a UTF-8 locale, or give the classes' ids"
        ) from None


def _class_key(name: str) -> str:
    """The form that all spellings of a name share."""
    return printable(visible(name)).casefold()


def _unknown_class(word: str, class_names: Sequence[str]) -> UsageError:
    if word.isdecimal():
        return UsageError(f"--classes: this engine has classes 0 to {len(class_names) - 1}, got {word}")
    lower = {name.lower(): name for name in class_names}
    close = [lower[match] for match in difflib.get_close_matches(word.lower(), lower, n=3)]
    known = f"did you mean {' or '.join(close)}?" if close else f"it knows {list_some(class_names, 10)}"
    return UsageError(f"--classes: this engine has no class {word!r}; {known}")
