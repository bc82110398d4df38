"""What the keys allow now of the prompts that they have sent: while a prompt waits, its key may be
taken out, expire, or lose its right."""

from dataclasses import dataclass
from datetime import datetime

from actors.access.keyring import Keyring
from actors.ports import Caller
from actors.runtime.clock import Clock, Timer, Timers
from actors.runtime.refs import Ref
from protocol import requests
from protocol.errors import ErrorCode, RequestRefused, WireError
from protocol.rights import Rights
from protocol.ssh import SshError

# The bounds on the time until the next look at a key that expires: a timer may fire a little early,
# and the clock may be set.
EXPIRY_LOOK_MIN_S = 1.0
EXPIRY_LOOK_MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """The keys as they are now, for everything that was asked for earlier. Any thread may use it.
    `keyring` is None if no key is needed."""

    keyring: Keyring | None = None

    def check(self, caller: Caller, body: requests.Body, now: datetime) -> datetime | None:
        """Return when the caller's key expires, None for never. Raises WireError if the key may no
        longer ask for that."""
        if self.keyring is None or caller.credential is None:
            return None
        shown, address = caller.credential.shown, caller.credential.address
        try:
            entry = self.keyring.find(shown, address, now)
        except SshError as error:
            raise RequestRefused(ErrorCode.UNAUTHENTICATED, f"the key {error}") from None
        entry.options.rights.check(body)
        return entry.options.expires_at

    def rights(self, caller: Caller, now: datetime) -> Rights | None:
        """Return the rights that the caller's key has now; None if it is no longer good."""
        if self.keyring is None or caller.credential is None:
            return caller.rights
        credential = caller.credential
        try:
            return self.keyring.find(credential.shown, credential.address, now).options.rights
        except SshError:
            return None


class PromptKeys:
    """The keys of one project's prompts. For the Project's thread only.

    When one of these keys may have expired, a timer tells `due` to `project`."""

    def __init__(
        self,
        standing: Standing,
        *,
        project: Ref,
        project_id: str,
        due: object,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self._standing = standing
        self._project = project
        self._project_id = project_id
        self._due = due
        self._clock = clock
        self._timers = timers
        self._timer: Timer | None = None
        self._expected: datetime | None = None

    def look_anew(self) -> None:
        """Forget which keys were looked at: those that still matter are looked at next."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._expected = None, None

    def check(self, caller: Caller, options: requests.Options) -> None:
        """Raise WireError if the caller's key may not, or no longer, run such a prompt here."""
        if caller.credential is None:  # no key was needed
            return
        body = requests.Execute.model_construct(project_id=self._project_id, options=options)
        now = self._clock.now()
        expires_at = self._standing.check(caller, body, now)
        if expires_at is not None and (self._expected is None or expires_at < self._expected):
            self.look_anew()
            self._expected = expires_at
            left_s = (expires_at - now).total_seconds()
            due_s = min(max(left_s, EXPIRY_LOOK_MIN_S), EXPIRY_LOOK_MAX_S)
            self._timer = self._timers.after(due_s, self._project, self._due)

    def refusal(self, caller: Caller, options: requests.Options) -> str | None:
        """Return why the caller's key may no longer run such a prompt here; None if it may."""
        try:
            self.check(caller, options)
        except WireError as error:
            return error.message
        return None
