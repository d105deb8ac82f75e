"""Failures of a tracking store in the words of a user: the first cause, in one line."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException, RestException
from requests.exceptions import RequestException

from tsad.errors import StoreError
from tsad.settings import without_password

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
_CLIENTS = (
    "botocore",
    "boto3",
    "s3transfer",
    "google",
    "azure",
    "urllib3",
    "psycopg",
    "psycopg2",
    "pymysql",
    "sqlalchemy",
)
"""Packages whose errors come from a store of runs or artifacts."""
_PERMANENT = {
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "BAD_REQUEST",
}
"""Codes of answers that a second attempt gets again."""


def is_store_failure(error: BaseException) -> bool:
    """Returns whether an error comes from a tracking store, its database or its artifact store."""
    if isinstance(error, MlflowException | RequestException):
        return True
    return type(error).__module__.split(".")[0] in _CLIENTS


def is_outage(error: BaseException) -> bool:
    """Returns whether a store may answer later: it is away, too busy or locked, and has not refused the request."""
    if isinstance(error, RestException) or (isinstance(error, MlflowException) and error.error_code in _PERMANENT):
        return error.error_code not in _PERMANENT and not _is_refusal(error)
    return is_store_failure(error) and not _is_refusal(error)


def _is_refusal(error: BaseException) -> bool:
    return re.search(r"error code 4(?!08|29)\d\d|\b4(?!08|29)\d\d Client Error", str(error)) is not None


def first_cause(error: BaseException) -> str:
    """Returns the innermost cause of an error in one line, without the chain of errors that clients wrap around it."""
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None) or getattr(error, "orig", None)
        inner = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
        inner = inner or next((value for value in error.args if isinstance(value, BaseException)), None)
        if inner is None or not _is_wrapper(error):
            break
        error = inner
    text = " ".join(str(error).split()) or type(error).__name__
    system = re.search(r"\[Errno -?\d+\] ([^'\"\])]+)", text)
    return system[1] if system else without_password(text)[:500]


def _is_wrapper(error: BaseException) -> bool:
    return is_store_failure(error) or isinstance(error, OSError)


@contextmanager
def store_failures(uri: str) -> Iterator[None]:
    """Raises `StoreError` with the first cause where a call of the tracking store at a URI fails."""
    try:
        yield
    except Exception as error:
        if not is_store_failure(error):
            raise
        raise store_error(uri, error) from error


def store_error(uri: str, error: BaseException) -> StoreError:
    """Returns the error that tells a user about a failure of the tracking store at a URI."""
    shown, cause = without_password(uri), first_cause(error)
    if is_outage(error):
        return StoreError(f"tracking store {shown} cannot be reached ({cause})")
    return StoreError(f"tracking store {shown} refused a request ({cause})")


@contextmanager
def brief_requests() -> Iterator[None]:
    """Lets MLflow's client give up after seconds instead of minutes, unless the environment says how often it retries."""
    if _RETRIES in os.environ:
        yield
        return
    os.environ[_RETRIES] = "2"
    try:
        yield
    finally:
        os.environ.pop(_RETRIES, None)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps MLflow from printing addresses at the end of each run, and progress bars; a command says at its end where to look.

    What the environment says about either stays.
    """
    absent = {name: value for name, value in _QUIET.items() if name not in os.environ}
    os.environ.update(absent)
    try:
        yield
    finally:
        for name in absent:
            os.environ.pop(name, None)
