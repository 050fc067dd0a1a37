"""Downloads that go on where they broke off."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vid3d.errors import Vid3dError

MOST = 1 << 32
"""Bytes of the largest file that is fetched."""
TIMEOUT = 20.0
"""Seconds without an answer after which a host counts as not reached."""

Progress = Callable[[int, int | None], None]


def download(url: str, path: Path, progress: Progress | None = None, attempts: int = 3) -> None:
    """Fetch `url` to `path`, going on from `path`.part where an earlier try broke off.

    Args:
        url: http or https address.
        path: appears only once it is whole.
        progress: told of bytes so far and in all.
        attempts: tries within this call.

    Raises:
        Vid3dError: the host cannot be reached or has no such file; says how to do it by hand.
    """
    part = path.with_name(path.name + ".part")
    reason = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(attempts):
            try:
                _continue(url, part, progress)
                os.replace(part, path)
                return
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
                reason = f"cannot be reached ({getattr(error, 'reason', '') or error})"
                if isinstance(error, urllib.error.HTTPError):
                    reason = f"does not give it (HTTP {error.code})"
                    if error.code < 500:
                        break
    except OSError as error:
        raise Vid3dError(f"cannot write {path}: {error.strerror or error}") from error
    raise Vid3dError(
        f"{path.name} is not in the cache and {urlsplit(url).hostname} {reason}: "
        f"download {url} by hand to {path}"
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirection from an encrypted address to an open one."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str
                         ) -> urllib.request.Request | None:  # fmt: skip
        """The request to send on; an error where it would leave TLS."""
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError("it redirects to an address without TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _continue(url: str, part: Path, progress: Progress | None) -> None:
    """Append to `part` until the file is whole."""
    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing beyond what is here, or another file: start anew
            part.unlink()
            return _continue(url, part, progress)
        raise
    with answer:
        resumed = answer.status == 206
        done = done if resumed else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        _check_size(total or 0)
        with open(part, "ab" if resumed else "wb") as file:
            while chunk := _received(answer):
                file.write(chunk)
                done += len(chunk)
                _check_size(done)
                if progress:
                    progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"broke off after {done} of {total} bytes")
    return None


def _received(answer: Any) -> bytes:
    """The next bytes of an answer.

    Raises:
        ConnectionError: whatever is wrong with the network; other OSErrors are the disk's.
    """
    try:
        return bytes(answer.read(1 << 18))
    except OSError as error:  # of TLS, of routes, of time
        raise ConnectionError(str(error)) from error


def _check_size(size: int) -> None:
    if size > MOST:
        raise urllib.error.URLError(f"it sends more than {MOST >> 30} GiB")
