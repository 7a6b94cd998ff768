"""Throttling, clocks and credentials: what happens to calls before any step sees them."""

import contextlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from experiment.aws.asking import asking, text_means_expired
from experiment.aws.cloud import CONFIG, ClockOffset, Cloud
from experiment.errors import ExpiredError, OfflineError, StepError
from tests.experiment.conftest import SleepingClock, in_turn, refuse, scripted

CloudOf = Callable[..., Cloud]


def test_a_throttled_call_is_tried_again() -> None:
    """The clients' own settings outlast throttling: the step never sees it."""
    client = boto3.client(
        "logs", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b", config=CONFIG
    )
    answers = [
        (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
        (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
        (200, {"queryId": "q"}),
    ]
    asked: list[str] = []

    def respond(request: Any, **_: Any) -> AWSResponse:
        asked.append(request.url)
        status, body = answers[len(asked) - 1]
        raw: Any = _Raw(json.dumps(body).encode())
        return AWSResponse(request.url, status, HTTPHeaders(), raw)

    client.meta.events.register("before-send.cloudwatch-logs.*", respond)
    answer = client.start_query(logGroupName="g", startTime=1, endTime=2, queryString="q")
    assert answer["queryId"] == "q"
    assert len(asked) == 3


class _Raw:
    """The body of a response, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        """In one piece."""
        yield self._body


@pytest.mark.parametrize(("ahead_s", "known_wrong"), [(0.0, False), (0.9, False), (30.0, True), (-400.0, True)])
def test_the_clocks_offset_is_measured_and_used(
    ahead_s: float, known_wrong: bool, cloud_of: CloudOf, clock: SleepingClock
) -> None:
    """The Date of an answer has whole seconds: an offset below that is none, one above it is corrected for."""
    clock.now = 1_763_823_600.5

    def identity(**_: Any) -> dict[str, Any]:
        date = formatdate(int(clock.now + ahead_s), usegmt=True)
        return {
            "UserId": "u", "Account": "1", "Arn": "arn:aws:iam::1:user/somebody",
            "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"date": date}},
        }  # fmt: skip

    cloud = cloud_of(sts=scripted("sts", get_caller_identity=identity))
    offset = cloud.measure_clock()
    assert offset.known_wrong == known_wrong
    assert abs(offset.seconds - ahead_s) <= offset.uncertainty_s + 0.5
    assert cloud.now() - clock.now == (offset.seconds if known_wrong else 0.0)


def test_an_offset_within_its_own_uncertainty_is_not_known() -> None:
    """A slow answer hides an offset: it must not be 'corrected'."""
    assert not ClockOffset(2.0, 1.5).known_wrong


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "RequestExpired"])
def test_expired_credentials_are_an_error_of_their_own(code: str) -> None:
    """Only they are waited for."""
    with pytest.raises(ExpiredError), asking("reshard", "group"):
        raise refuse(code)


@pytest.mark.parametrize(
    ("code", "todo"),
    [
        ("AccessDenied", "allow s3:ListBucket"),
        ("InvalidClientTokenId", "unknown to AWS"),
        ("SignatureDoesNotMatch", "set this machine's clock"),
        ("InternalFailure", "it resumes where it stopped"),
    ],
)
def test_every_error_says_what_to_do_next(code: str, todo: str) -> None:
    """Step, resource, what AWS said, what to do."""
    with pytest.raises(StepError) as caught, asking("collect", "bucket b", "s3:ListBucket"):
        raise refuse(code, "AWS's own words")
    assert (caught.value.step, caught.value.resource) == ("collect", "bucket b")
    assert "AWS's own words" in caught.value.said
    assert todo in caught.value.todo


def test_credentials_renewed_meanwhile_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `aws sso login` in another terminal the next call uses the new credentials, without a restart."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    clock = SleepingClock()
    cloud = Cloud("eu-west-1", clock=clock, sleep=clock.sleep)
    used: list[str] = []

    def ask() -> str:
        credentials = cloud.session.get_credentials()
        assert credentials is not None
        used.append(credentials.access_key)
        if used[-1] == "old":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new")
            raise ExpiredError("wait", "run", "expired", "renew")
        return "answer"

    assert cloud.patiently(ask, lambda _text: None, 60) == "answer"
    assert used == ["old", "new"]


@pytest.mark.parametrize(("reached", "waits"), [(True, True), (False, False)])
def test_a_network_that_worked_before_is_waited_for(
    reached: bool, waits: bool, cloud_of: CloudOf, clock: SleepingClock
) -> None:
    """A laptop that changes its network in minute 30 must not lose the reshard; a mistyped region is told at once."""
    answer = {"UserId": "u", "Account": "1", "Arn": "arn:aws:iam::1:user/somebody"}
    offline = EndpointConnectionError(endpoint_url="https://sts.eu-west-1.amazonaws.com")
    cloud = cloud_of(sts=scripted("sts", get_caller_identity=in_turn(*[answer] * reached, offline, offline, answer)))
    said: list[str] = []
    if reached:
        cloud.patiently(cloud.measure_clock, said.append, 0)
    if not waits:
        with pytest.raises(OfflineError, match="the region's name"):
            cloud.patiently(cloud.measure_clock, said.append, 0)
        return
    assert cloud.patiently(cloud.measure_clock, said.append, 0) == ClockOffset(0.0, 0.0)
    assert len(said) == 1
    assert "Waiting for the network" in said[0]
    assert clock.slept == 20


def test_patience_begins_when_something_goes_wrong(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """Credentials that end in minute 20 of an audit are waited for like those that end in its first."""
    cloud, tries = cloud_of(), iter([True, False])

    def ask() -> str:
        clock.now += 1200
        if next(tries):
            raise ExpiredError("audit", "function", "expired", "renew")
        return "answer"

    assert cloud.patiently(ask, lambda _text: None, 900) == "answer"


def test_a_network_that_stays_away_ends_the_step(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """The same command goes on later."""
    answer = {"UserId": "u", "Account": "1", "Arn": "arn:aws:iam::1:user/somebody"}
    offline = ReadTimeoutError(endpoint_url="https://sts.eu-west-1.amazonaws.com")
    cloud = cloud_of(sts=scripted("sts", get_caller_identity=in_turn(answer, offline)))
    cloud.patiently(cloud.measure_clock, lambda _text: None, 0)
    with pytest.raises(OfflineError):
        cloud.patiently(cloud.measure_clock, lambda _text: None, 0)
    assert 900 <= clock.slept <= 910


def test_threads_that_ask_first_share_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A boto3 session that makes clients in several threads at once fails now and then; the audit asks from four."""
    together = threading.Barrier(2)
    met: list[bool] = []

    class SlowSession:
        region_name = "eu-west-1"

        def client(self, *_: Any, **__: Any) -> object:
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.2)
                met.append(True)
            return object()

    monkeypatch.setattr(boto3, "Session", lambda **_: SlowSession())
    cloud = Cloud("eu-west-1")
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(lambda _: cloud.client("lambda"), range(4)))
    assert met == []
    assert len({id(client) for client in clients}) == 1


def test_what_pulumi_says_of_expired_credentials_is_understood() -> None:
    """The CLI hands on AWS's words in its own output."""
    said = "error: operation error ElastiCache: ModifyReplicationGroup, api error ExpiredToken: The security token ..."
    assert text_means_expired(said)
    assert not text_means_expired("error: api error InvalidParameterValue")


def test_the_identity_is_asked_of_sts(cloud_of: CloudOf) -> None:
    """Without a Date in the answer nothing is corrected."""
    answer = {"UserId": "u", "Account": "1", "Arn": "arn:aws:iam::1:user/somebody"}
    cloud = cloud_of(sts=scripted("sts", get_caller_identity=in_turn(answer)))
    assert cloud.measure_clock() == ClockOffset(0.0, 0.0)
