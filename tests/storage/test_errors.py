"""What a store refuses becomes one line and the right exit code."""

from __future__ import annotations

import errno

import pytest

from bench.core.errors import BenchError, WorkFailedError
from bench.storage.errors import explain_store_errors


class NoCredentialsError(Exception):
    """Named as botocore's."""


class ClientError(Exception):
    """Named as botocore's."""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            PermissionError("Access\nDenied."),
            2,
            r"Not allowed to write s3://b/x \(Access Denied\)\. Log in .*AWS_PROFILE",
        ),
        (NoCredentialsError("Unable to locate credentials"), 2, "Not allowed to write"),
        (
            OSError(errno.EINVAL, "The specified bucket is not valid."),
            2,
            "Cannot write .* Check the name of the bucket",
        ),
        (NotImplementedError(), 2, "cannot do that"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "No space left to write s3://b/x"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 3, "raise the quota"),
        (ClientError("An error occurred (XMinioAdminBucketQuotaExceeded)"), 3, "No space left"),
        (ClientError("An error occurred (XMinioStorageFull)"), 3, "No space left"),
        (ConnectionError(), 3, r"does not answer as it should \(ConnectionError\)\. What was finished is kept"),
        (TimeoutError("timed out"), 3, "timed out"),
        (ClientError("An error occurred (SlowDown)"), 3, "SlowDown"),
    ],
)
def test_each_kind_of_refusal(error: Exception, code: int, message: str) -> None:
    """2 where the user mends it, 3 where the store must; one line with the store's own reason."""
    with pytest.raises(BenchError, match=message) as caught, explain_store_errors("write", "s3://b/x"):
        raise error
    assert caught.value.exit_code == code and "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


def test_errors_that_have_been_explained_pass() -> None:
    """So does what is not there, which only the caller can explain."""
    for error in (WorkFailedError("told"), FileNotFoundError("x")):
        with pytest.raises(type(error)) as caught, explain_store_errors("read", "s3://b/x"):
            raise error
        assert caught.value is error
