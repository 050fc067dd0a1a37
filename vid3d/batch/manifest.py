"""What a batch has done, in an SQLite file in its output folder.

Tables: `jobs` (a row a video), `files` (a row a result), `recipes` (what results were made with:
options and models as JSON, by SHA-256) and `batch` (the folder that the videos lie in). A job is

    waiting      found, not begun
    running      begun; after the end of a run, interrupted with it
    interrupted  begun and stopped by Ctrl-C
    done         its results lie in the folder
    failed       `error` says why; `trace` where it was a fault of the program

Only the process that holds the folder's lock writes; every change is one transaction.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from vid3d.batch.stamp import Print
from vid3d.batch.worker import Made
from vid3d.errors import Vid3dError
from vid3d.files import printable

NAME = "batch.sqlite"
SCHEMA = 1
PATIENCE = 120.0
"""Seconds to wait for another program that reads the manifest: nobody can write until then."""
_APPLICATION = 0x76336462  # "v3db": tells a batch from any other SQLite file
_TABLES = f"""
BEGIN;
CREATE TABLE batch (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE recipes (sha256 TEXT PRIMARY KEY, recipe TEXT NOT NULL);
CREATE TABLE jobs (
    source TEXT PRIMARY KEY,
    output TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'running', 'interrupted', 'done', 'failed')),
    recipe TEXT REFERENCES recipes (sha256),
    sha256 TEXT,
    stamp TEXT,
    runs INTEGER NOT NULL DEFAULT 0,
    started TEXT,
    seconds REAL,
    frames INTEGER,
    people INTEGER,
    warnings TEXT,
    error TEXT,
    trace TEXT
);
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    source TEXT NOT NULL REFERENCES jobs (source),
    sha256 TEXT NOT NULL,
    stamp TEXT NOT NULL
);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {SCHEMA};
COMMIT;
"""


@dataclass(frozen=True)
class Entry:
    """What is known of one video.

    Attributes:
        output: path below the output folder that its results' names begin with.
        status: see the module.
        recipe: SHA-256 of what it was lifted with, or None.
        print: of the video as it was lifted, or None.
        files: of its results, by path below the output folder.
    """

    output: str
    status: str
    recipe: str | None
    print: Print | None
    files: Mapping[str, Print] = field(default_factory=dict)


class Manifest:
    """The manifest of an output folder.

    Args:
        path: of the file; made if missing.
        writable: False to look only; the file must exist then.

    Raises:
        Vid3dError: it is no manifest, of another version, damaged, or cannot be written; every
            method raises the same.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self.path = path
        with self._guarded():
            # By path: SQLite takes no URI of a Windows share. Not opened as read-only: what a kill
            # left in mid-transaction can only be read after it was rolled back.
            self._db = sqlite3.connect(path, timeout=PATIENCE)
            try:
                self._db.execute(f"PRAGMA query_only = {not writable}")
                self._check()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *error: object) -> None:
        self._db.close()

    @property
    def root(self) -> Path | None:
        """The folder that the videos lie in, as the last run found it."""
        with self._guarded():
            row = self._db.execute("SELECT value FROM batch WHERE name = 'root'").fetchone()
        return Path(row[0]) if row else None

    def entries(self) -> dict[str, Entry]:
        """What is known of every video, by key."""
        files: dict[str, dict[str, Print]] = {}
        with self._guarded():
            for path, source, *seen in self._db.execute(
                "SELECT path, source, sha256, stamp FROM files"
            ):
                files.setdefault(source, {})[path] = Print(*seen)
            rows = self._db.execute(
                "SELECT source, output, status, recipe, sha256, stamp FROM jobs"
            )
            known = {}
            for source, output, status, recipe, sha256, stamp in rows:
                if not isinstance(source, str) or not isinstance(output, str):
                    raise sqlite3.DatabaseError("damaged")
                seen = Print(sha256, stamp) if sha256 else None
                known[source] = Entry(output, status, recipe, seen, files.get(source, {}))
            return known

    def begin(self, root: Path, recipe: str, outputs: Mapping[str, str]) -> None:
        """A run begins: note its recipe, and the videos that are new with their outputs, by key."""
        with self._guarded(), self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO batch VALUES ('root', ?)", (printable(str(root)),)
            )
            self._db.execute(
                "INSERT OR IGNORE INTO recipes VALUES (?, ?)", (digest_of(recipe), recipe)
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO jobs (source, output, status) VALUES (?, ?, 'waiting')",
                outputs.items(),
            )

    def start(self, source: str, recipe: str) -> None:
        """A job begins."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._guarded(), self._db:
            self._db.execute(
                "UPDATE jobs SET status = 'running', recipe = ?, runs = runs + 1, started = ?,"
                " seconds = NULL, frames = NULL, people = NULL, warnings = NULL, error = NULL,"
                " trace = NULL WHERE source = ?",
                (digest_of(recipe), now, source),
            )

    def finish(
        self, source: str, seen: Print, seconds: float, made: Made, files: Mapping[str, Print]
    ) -> None:
        """A job is done: its results, by path below the output folder, replace earlier ones."""
        warnings = "\n".join(made.warnings) or None
        with self._guarded(), self._db:
            self._db.execute(
                "UPDATE jobs SET status = 'done', sha256 = ?, stamp = ?, seconds = ?, frames = ?,"
                " people = ?, warnings = ? WHERE source = ?",
                (seen.sha256, seen.stamp, seconds, made.frames, made.people, warnings, source),
            )
            self._db.execute("DELETE FROM files WHERE source = ?", (source,))
            self._db.executemany(
                "INSERT INTO files (path, source, sha256, stamp) VALUES (?, ?, ?, ?)",
                [(path, source, one.sha256, one.stamp) for path, one in files.items()],
            )

    def fail(self, source: str, seconds: float, error: str, trace: str | None) -> None:
        """A job failed."""
        with self._guarded(), self._db:
            self._db.execute(
                "UPDATE jobs SET status = 'failed', seconds = ?, error = ?, trace = ?"
                " WHERE source = ?",
                (seconds, error, trace, source),
            )

    def interrupt(self) -> None:
        """Whatever runs was interrupted."""
        with self._guarded(), self._db:
            self._db.execute("UPDATE jobs SET status = 'interrupted' WHERE status = 'running'")

    def owner(self, path: str) -> str | None:
        """The video that a result belongs to, by its path below the output folder."""
        with self._guarded():
            row = self._db.execute("SELECT source FROM files WHERE path = ?", (path,)).fetchone()
        return row[0] if row else None

    def results(self, source: str) -> dict[str, Print]:
        """The results of a video, by path below the output folder."""
        with self._guarded():
            rows = self._db.execute(
                "SELECT path, sha256, stamp FROM files WHERE source = ?", (source,)
            ).fetchall()
        return {path: Print(sha256, stamp) for path, sha256, stamp in rows}

    def _check(self) -> None:
        """Make the tables of a new file, or find out that it is not a manifest of this version."""
        application, version = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        try:
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        except UnicodeDecodeError as error:  # sqlite3 quotes the damaged schema in its message
            raise sqlite3.DatabaseError("damaged") from error
        if not tables:
            self._db.executescript(_TABLES)
        elif (application, version) != (_APPLICATION, SCHEMA):
            raise Vid3dError(
                f"{self.path} is not a batch manifest of this version of vid3d; move it away, or "
                "choose another folder with -o"
            )
        if self._db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise Vid3dError(
                    f"{self.path} is held by another program, which shows or changes it; "
                    "close that and run the batch again"
                ) from error
            raise Vid3dError(
                f"{self.path}: {error}; check space and permissions, or move it away to start anew"
            ) from error


def digest_of(recipe: str) -> str:
    """SHA-256 of a recipe."""
    return hashlib.sha256(recipe.encode()).hexdigest()
