"""Decides where text and API keys may be sent, and who may read what is written of a text.

Every client asks this module before it connects.

Allowed addresses are loopback, the provider's own address (not for private text), and those that the user names: `api_base` is
the address of a model, `allow_hosts` are the hosts beyond loopback that may receive private text. A bundle cannot name either.
During a call, no other host name is even resolved, so no redirect or proxy can take text or keys elsewhere.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import getproxies

from ner_programs.errors import LMSetupError

_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?(?:/[\w.~%/:=+,-]*)?", re.A | re.I
)


class PrivacyError(LMSetupError):
    """Text or a key would go to an address that is not allowed. Nothing was sent there."""


class Address(NamedTuple):
    """The host and port that a client connects to."""

    host: str
    port: int


def address_of(api_base: str, option: str = "lm.api_base") -> Address:
    """Return the host and port of an `api_base`; PrivacyError if two programs could parse it differently.

    So a user name, a query, and a number that is not an IP address in its usual form are refused. No server needs them.
    """
    found = _ADDRESS.fullmatch(api_base)
    if found is None:
        hosts = re.findall(r"@([\w.-]+)", api_base)
        why = f"a user name before {hosts[-1]}" if hosts else "it is not of the form http://host:port/path"
        raise PrivacyError(f"{option} is refused: {why}; write only scheme, host, port and path (keys: environment)")
    host = normal(found["host"])
    if host is None:
        raise PrivacyError(f"{option} is refused: {found['host']} is no usual form of an IP address")
    return Address(host, int(found["port"] or (443 if found["scheme"].lower() == "https" else 80)))


def normal(host: str) -> str | None:
    """Return the normal form of a host: lower case, without a final dot; None for a number in an unusual IP form."""
    plain = host.strip("[]").lower().removesuffix(".")
    try:
        ip = ip_address(plain)
    except ValueError:
        last = plain.rpartition(".")[2]
        return None if not last or ":" in plain or re.fullmatch(r"\d+|0x[0-9a-f]*", last) else plain
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    plain = normal(host)
    if plain is None or plain == "localhost":
        return plain is not None
    try:
        return ip_address(plain).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Reach:
    """The allowed connections: one address, some hosts at any port, and this machine at any port."""

    address: Address | None = None
    hosts: frozenset[str] = frozenset()
    loopback: bool = False

    def allows(self, host: str, port: Any) -> bool:
        """Return whether a host name may be resolved to connect to this port."""
        plain = normal(host)
        if plain in self.hosts or (self.loopback and is_loopback(host)):
            return True
        return self.address is not None and (plain, str(port)) == (self.address.host, str(self.address.port))


@dataclass(frozen=True, slots=True)
class Privacy:
    """Says of a text what may be done with it: where it may be sent, what may be logged, who may read a file of it.

    `encoder` is the `api_base` of an API model that encodes demonstrations. With `named_only`, used for the models of a
    bundle, a model is called only at an address that the user gives, not even at its provider's own.
    """

    private: bool = False
    allow_hosts: tuple[str, ...] = ()
    encoder: str | None = None
    named_only: bool = False

    def __str__(self) -> str:
        return "private" if self.private else "public"

    @property
    def may_log(self) -> bool:
        """Whether MLflow, logs and the pages that others read may have the text (design D12)."""
        return not self.private

    @property
    def may_connect(self) -> bool:
        """Whether a run on the text may connect to more than loopback and the allowed hosts: a model hub, say (design D16)."""
        return not self.private

    @property
    def file_mode(self) -> int:
        """The mode of a file with the text, before the user's mask."""
        return 0o600 if self.private else 0o666

    @property
    def folder_mode(self) -> int:
        """The mode of a folder with the text, before the user's mask."""
        return 0o700 if self.private else 0o777

    def seal(self, path: Path) -> None:
        """Let nobody else read a file or folder that was written with the user's mask, unless others may."""
        if self.private:
            path.chmod(self.folder_mode if path.is_dir() else self.file_mode)

    def share(self, machines: Iterable[str]) -> None:
        """Raise PrivacyError if one of the machines that would work on the text together may not have it."""
        allowed = set(map(normal, self.allow_hosts))
        for host in machines:
            if self.private and normal(host) not in allowed and not is_loopback(host):
                raise PrivacyError(
                    f"the text is private and may not be sent to the machine {host}: allow each with lm.allow_hosts = "
                    f"[{host!r}], or say annotate --public, if the text is public"
                )

    def reach(self, model: str, api_base: str | None, table: str = "lm") -> Reach | None:
        """Return the allowed connections of a client of `model`; None means the provider's own address.

        Without `api_base`, the environment's is used (OPENAI_API_BASE and the like). `table` is the table of the spec that
        describes the client. Raises PrivacyError if the text may not be sent to that address.
        """
        if "://" in model:
            raise PrivacyError(f"{table}: the name of a model holds no address; give {table}.api_base")
        base = api_base or base_from_environment(model)
        if base is None:
            if self.named_only:
                raise PrivacyError(
                    f"the bundle asks {model}: say where that is with {table}.api_base (--set {table}.api_base=http://..., in "
                    "code load(..., privacy=Privacy(encoder=...)))"
                )
            if not self.private:
                return None
            raise PrivacyError(
                f"the text is private and {table} ({model}) has no {table}.api_base: it goes only to a host that is named "
                f"there and is loopback or in {table}.allow_hosts (corpus.private = false, or annotate --public with --lm, "
                "if the text is public)"
            )
        address = address_of(base, f"{table}.api_base")
        allowed = frozenset(filter(None, map(normal, self.allow_hosts)))
        if self.private and address.host not in allowed and not is_loopback(address.host):
            raise PrivacyError(
                f"the text is private and may not be sent to {address.host}: allow it with {table}.allow_hosts = "
                f"[{address.host!r}], or say corpus.private = false (annotate --public), if the text is public"
            )
        return Reach(address, allowed | _proxies())


PUBLIC, PRIVATE = Privacy(), Privacy(private=True)


def base_from_environment(model: str) -> str | None:
    """Return the address that the environment sets for the provider of a model; PrivacyError if it sets two."""
    provider = re.sub(r"\W", "_", model.partition("/")[0]).upper()
    names = [f"{provider}_API_BASE", f"{provider}_BASE_URL"]
    bases = {os.environ[name] for name in names if os.environ.get(name)}
    if len(bases) > 1:
        raise PrivacyError(f"{' and '.join(names)} name two addresses: unset one of them")
    return bases.pop() if bases else None


_AWAY = (
    "the server sends requests on to another address, or a proxy should; nothing was sent there (what else may be connected "
    "to is named in lm.allow_hosts)"
)
_ELSEWHERE = "a private run connects to nothing but loopback and lm.allow_hosts; something else was to be asked"
_asked: ContextVar[tuple[Reach | None, list[PrivacyError]] | None] = ContextVar("nerc_reach", default=None)
_confined: list[Reach] = []


@contextmanager
def connecting(reach: Reach | None) -> Iterator[None]:
    """Let a client that is called in the block connect only to `reach`; None means no limit.

    A refused connection is raised as PrivacyError, even if the client turns it into another exception.
    """
    _watch()
    refused: list[PrivacyError] = []
    token = _asked.set((reach, refused))
    try:
        yield
    except Exception:
        if refused:
            raise refused[0] from None
        raise
    finally:
        _asked.reset(token)


@contextmanager
def confined(hosts: Iterable[str]) -> Iterator[None]:
    """Limit the whole process to this machine and `hosts` while the block runs, and keep it off the model hub (design D16).

    A proxy from the environment is bypassed unless its own host is in `hosts`. The former state is restored afterwards.
    """
    _watch()
    reach = Reach(hosts=frozenset(filter(None, map(normal, hosts))), loopback=True)
    past = "127.0.0.1,::1,localhost" if _proxies() & reach.hosts else "*"
    changed = {"HF_HUB_OFFLINE": "1", "no_proxy": past, "NO_PROXY": past}
    before = {name: os.environ.get(name) for name in changed}
    _confined.append(reach)
    os.environ.update(changed)
    try:
        yield
    finally:
        del _confined[next(n for n, other in enumerate(_confined) if other is reach)]
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _proxies() -> frozenset[str]:
    """Return the hosts of the proxies that the environment names."""
    urls = (
        re.match(r"(?:\w+://)?(?:[^@/]*@)?(\[[^]]*\]|[^:/]+)", url)
        for kind, url in getproxies().items()
        if kind != "no"
    )
    return frozenset(filter(None, (normal(found[1]) for found in urls if found)))


def _watch() -> None:
    """Wrap `socket.getaddrinfo` with the check. Every connection, by name or by number, starts with it."""
    real = socket.getaddrinfo
    if hasattr(real, "asks_privacy"):
        return

    @wraps(real)
    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
        reach, refused = _asked.get() or (None, [])
        if name is not None and any(one is not None and not one.allows(name, port) for one in (reach, *_confined)):
            refused.append(PrivacyError(_AWAY if reach else _ELSEWHERE))
            raise refused[-1]
        return real(host, port, *args, **options)

    getaddrinfo.asks_privacy = True  # type: ignore[attr-defined]
    socket.getaddrinfo = getaddrinfo
