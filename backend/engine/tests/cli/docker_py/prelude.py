import io
import os
import tarfile

import docker
from docker.utils.socket import frames_iter

client = docker.from_env(version="auto", timeout=60)
api = client.api


def refused(kind, call, *arguments, **named):
    """The text of a call that must fail."""
    try:
        answer = call(*arguments, **named)
    except kind as error:
        return getattr(error, "explanation", None) or str(error)
    raise AssertionError(f"{call.__name__} answered {answer!r}")


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"
