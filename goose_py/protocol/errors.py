"""The errors that cross layers. Each message is one clear sentence for a person: what is wrong, where, what to do.

A tool's failure is no exception but a `ToolResult`; a bug is whatever Python raises, and propagates.
"""


class GooseError(Exception):
    """Root of everything that is expected to go wrong. `str(error)` is fit to be shown."""


class UserError(GooseError):
    """The user's input cannot be used as it stands."""


class ModelError(GooseError):
    """A model request failed. Providers translate everything their SDK raises into one of the classes below, once.

    `provider` and `status` (HTTP, where there was one) tell where; `retry_after` is in seconds when the server said so;
    `transient` says whether the same request may work later."""

    transient = False

    def __init__(
        self, message: str, *, provider: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.retry_after = retry_after


class AuthenticationFailed(ModelError):
    """No key, or one that the provider refuses (401, 403)."""


class RequestRejected(ModelError):
    """The provider will not accept this request however often it is sent (400, 404, 413, 422)."""


class ContextOverflow(RequestRejected):
    """The request does not fit the model's window."""


class QuotaExceeded(ModelError):
    """Money or a plan's allowance is used up; waiting some seconds does not help."""


class RateLimited(ModelError):
    """429: too many requests now."""

    transient = True


class ProviderUnavailable(ModelError):
    """408, 409, 5xx, 529, refused or reset connections, name resolution, TLS handshakes that broke off."""

    transient = True


class StreamInterrupted(ModelError):
    """The answer stopped before its end: a cut connection, a clean end without a finish, silence beyond the idle limit,
    or bytes that are no valid stream. `emitted` tells whether text had already been shown."""

    transient = True

    def __init__(self, message: str, *, provider: str = "", emitted: bool = False) -> None:
        super().__init__(message, provider=provider)
        self.emitted = emitted


class EndpointUnreachable(ModelError):
    """The endpoint cannot be reached for a reason that waiting does not mend (unknown host, certificate not trusted)."""


class LimitReached(GooseError):
    """A limit that the user set has been reached. `limit` is its name: turns, time, cost, tokens."""

    def __init__(self, message: str, *, limit: str) -> None:
        super().__init__(message)
        self.limit = limit
