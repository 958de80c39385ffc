"""A golden file cannot change, or go away, while its format keeps its number."""

from __future__ import annotations

import hashlib

from gen_vectors import broken_locks

FILES = {"cells/one.bin": b"2SJ1 and so on"}
LOCK = {"cells/one.bin": ["2SJ1", hashlib.sha256(FILES["cells/one.bin"]).hexdigest()]}


def test_what_did_not_change_is_fine() -> None:
    assert broken_locks(LOCK, FILES, {"cells": "2SJ1"}) == []
    assert broken_locks(LOCK, FILES | {"cells/two.bin": b"new"}, {"cells": "2SJ1"}) == []


def test_a_change_wants_a_new_number() -> None:
    changed = {"cells/one.bin": b"2SJ1 but another layout"}
    assert "changed without a new format number" in broken_locks(LOCK, changed, {"cells": "2SJ1"})[0]
    assert broken_locks(LOCK, changed, {"cells": "2SJ2"}) == []


def test_a_file_does_not_go_away_in_silence() -> None:
    assert broken_locks(LOCK, {}, {"cells": "2SJ1"})
