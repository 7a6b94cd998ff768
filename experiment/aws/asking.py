"""Turns boto3's errors into errors that name the step, the resource, AWS's message and what to do."""

from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    ResponseStreamingError,
    SSOError,
    TokenRetrievalError,
)

from experiment.errors import ExpiredError, OfflineError, StepError

# The services' codes for expired credentials.
_EXPIRED_CODES = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "ExpiredTokenFault"}
)
_REFUSED_CODES = frozenset({"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure"})
_DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
_SKEW_CODES = frozenset({"RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException"})

RENEW = "renew the credentials (`aws sso login`, or a new session token), then run the same command again: it resumes"


def code_of(error: Exception) -> str:
    """The service's code of an error; empty for other errors."""
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def is_expired(error: Exception) -> bool:
    """Whether the credentials expired."""
    if isinstance(error, (CredentialRetrievalError, TokenRetrievalError, SSOError)):
        return True
    return code_of(error) in _EXPIRED_CODES


def text_means_expired(text: str) -> bool:
    """The same for a program's output: Pulumi passes AWS's message on."""
    signs = (*_EXPIRED_CODES, "token included in the request is expired", "refresh cached SSO token")
    return any(sign in text for sign in signs)


_OFFLINE = (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
_AGAIN = "run the same command again: it resumes where it stopped"
_BY_TYPE: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (NoCredentialsError, PartialCredentialsError),
        "give credentials: `aws configure sso` and `aws sso login`, or AWS_PROFILE, or AWS_ACCESS_KEY_ID and its like",
    ),
    ((ProfileNotFound,), "set AWS_PROFILE to a profile of ~/.aws/config, or unset it"),
    ((NoRegionError,), "set the region: `pulumi config set aws:region eu-west-1`, or AWS_REGION"),
    (_OFFLINE, f"see to the network (proxy, VPN) and to the region's name, then {_AGAIN}"),
)


def what_to_do(error: Exception, action: str) -> str:
    """What the user should do after an error of AWS."""
    code = code_of(error)
    by_code = (
        (_REFUSED_CODES, "these credentials are unknown to AWS: see AWS_PROFILE and `aws sts get-caller-identity`"),
        (_DENIED_CODES, f"allow {action} to whoever runs this (docs/aws.md has the policy), then {_AGAIN}"),
        (_SKEW_CODES, f"set this machine's clock (AWS allows five minutes between the two), then {_AGAIN}"),
    )
    for types, todo in _BY_TYPE:
        if isinstance(error, types):
            return todo
    return next((todo for codes, todo in by_code if code in codes), _AGAIN)


@contextmanager
def asking(step: str, resource: str, action: str = "") -> Generator[None]:
    """Turn boto3's errors inside the block into StepErrors."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        if is_expired(error):
            raise ExpiredError(step, resource, str(error), RENEW) from error
        if isinstance(error, _OFFLINE):
            raise OfflineError(step, resource, str(error), what_to_do(error, action)) from error
        operation = action or (error.operation_name if isinstance(error, ClientError) else "the call")
        raise StepError(step, resource, str(error), what_to_do(error, operation)) from error
