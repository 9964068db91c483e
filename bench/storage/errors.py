"""What a store refuses, as one line that says what to do.

Stores raise what they like: s3fs turns most answers into OSError, botocore, gcsfs and aiohttp have errors of their own.
None of them needs to be installed, so errors are told by what they are in Python, else by their names.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from bench.core.errors import BenchError, WorkFailedError

__all__ = ["explain_store_errors"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("quota", "storagefull", "insufficientstorage", "no space left", "insufficient storage")
_LOGIN_WORDS = ("credential", "token", "profile", "authenti", "refresherror", "forbidden", "anonymous")
_MALFORMED_WORDS = ("paramvalidation", "invalid bucket")
_LONGEST_REASON = 160


@contextlib.contextmanager
def explain_store_errors(doing: str, url: str) -> Iterator[None]:
    """Turn what a store raises into an error that a user understands.

    Args:
        doing: "read", "write", "list" or "remove".
        url: what it is done to.

    Raises:
        FileNotFoundError: as the store raises it; only the caller knows what is missing.
        WorkFailedError: if the store is full or does not answer.
        BenchError: if it refuses this user, or a name.
    """
    try:
        yield
    except (BenchError, FileNotFoundError):
        raise
    except Exception as error:  # stores raise anything
        raise _explained(doing, url, error) from error


def _explained(doing: str, url: str, error: Exception) -> BenchError:
    reason = _reason(error)
    words = f"{type(error).__name__} {reason}".lower()
    if getattr(error, "errno", None) in _FULL or any(word in words for word in _FULL_WORDS):
        return WorkFailedError(
            f"No space left to {doing} {url} ({reason}). What was finished is kept: free some space or raise the quota,"
            " and run the same command again."
        )
    if isinstance(error, PermissionError) or any(word in words for word in _LOGIN_WORDS):
        return BenchError(
            f"Not allowed to {doing} {url} ({reason}). Log in to the store (for s3://: AWS_PROFILE or"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or name a place that you may use."
        )
    if isinstance(error, NotImplementedError):
        return BenchError(
            f"Cannot {doing} {url}: a store of this kind cannot do that. Choose a folder, s3:// or gs://."
        )
    if getattr(error, "errno", None) == errno.EINVAL or any(word in words for word in _MALFORMED_WORDS):
        return BenchError(f"Cannot {doing} {url}: {reason}. Check the name of the bucket and of the folder.")
    return WorkFailedError(
        f"Cannot {doing} {url}: the store does not answer as it should ({reason}). What was finished is kept:"
        " run the same command again when it does."
    )


def _reason(error: Exception) -> str:
    """One line of what the store said, without a full stop."""
    said = getattr(error, "strerror", None) or str(error)
    line = " ".join(str(said).split()) or type(error).__name__
    return line[:_LONGEST_REASON].rstrip(".")
