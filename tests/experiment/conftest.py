"""An AWS whose answers are scripted; botocore's service models check every request and every answer."""

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from moto import mock_aws

from experiment.aws.cloud import Cloud

REGION = "eu-west-1"
BUCKET = "results"

Answer = Callable[..., dict[str, Any]]


class SleepingClock:
    """A clock that sleeping moves, so that waiting two hours takes no time."""

    def __init__(self, now: float = 1_763_823_600.0) -> None:
        self.now = now
        self.slept = 0.0

    def __call__(self) -> float:
        """Unix seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.slept += seconds


def refuse(code: str, message: str = "refused", operation: str = "Operation", status: int = 400) -> ClientError:
    """An error as a service answers it."""
    metadata: Any = {"HTTPStatusCode": status}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation)


@functools.cache
def _session() -> boto3.Session:
    """One for all clients: each session reads the services' models anew, and moto ends boto3's own at every test."""
    return boto3.Session("a", "b", region_name=REGION)


def scripted(service: str, **answers: Answer) -> Any:
    """A client whose operations are answered by functions of their parameters; no other may be called.

    Requests go through botocore's own validation; answers are checked against the operation's output shape.
    """
    client: Any = _session().client(service)  # type: ignore[call-overload] - the name is the test's
    names = {client.meta.method_to_api_mapping[name]: answer for name, answer in answers.items()}
    calls: list[tuple[str, dict[str, Any]]] = []
    client.calls = calls
    mine = threading.local()  # the audit asks from several threads

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        mine.params = dict(params)
        calls.append((model.name, mine.params))

    def respond(model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        assert model.name in names, f"{service}: {model.name} is not expected here"
        answer = names[model.name](**mine.params)
        metadata = answer.pop("ResponseMetadata", {"HTTPStatusCode": 200, "HTTPHeaders": {}})
        if model.output_shape is not None:
            body = {key: value for key, value in answer.items() if key not in _streams(model)}
            problems = ParamValidator().validate(body, model.output_shape)
            assert not problems.has_errors(), f"{service} {model.name}: {problems.generate_report()}"
        return AWSResponse("https://aws.test", 200, HTTPHeaders(), None), {**answer, "ResponseMetadata": metadata}

    client.meta.events.register_first(
        f"before-parameter-build.{client.meta.service_model.service_id.hyphenize()}.*", note
    )
    client.meta.events.register_first(f"before-call.{client.meta.service_model.service_id.hyphenize()}.*", respond)
    return client


def _streams(model: Any) -> set[str]:
    """Members of an answer that are read as a stream, which the validator does not know."""
    return {name for name, shape in model.output_shape.members.items() if shape.type_name == "blob"}


def in_turn(*answers: Any) -> Answer:
    """Each call gets the next answer, an exception is raised; the last one stays."""
    left = list(answers)

    def answer(**_: Any) -> dict[str, Any]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    return answer


@pytest.fixture
def clock() -> SleepingClock:
    """A clock that only sleeping moves."""
    return SleepingClock()


@pytest.fixture
def cloud_of(clock: SleepingClock) -> Callable[..., Cloud]:
    """A Cloud made of scripted clients."""

    def make(**clients: Any) -> Cloud:
        stubs = {name.replace("_", "-"): client for name, client in clients.items()}
        return Cloud(REGION, clients=stubs, clock=clock, sleep=clock.sleep)

    return make


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 client to moto, with an empty bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield client
