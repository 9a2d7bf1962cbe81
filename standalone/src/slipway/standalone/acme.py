"""A certificate from a CA that speaks ACME (RFC 8555): Let's Encrypt, or one of your own.

It runs in a process of its own (`oneshot`), at the start and twice a day, and does nothing while the stored
certificate is for the same names, of the same CA, and has more than a third of its time left. The CA is shown
that the names are ours either over HTTP (a server on port 80 that exists only meanwhile) or in DNS, by a
command of the operator. Nothing is stored before it is whole: a failure leaves what is there.
"""

import asyncio
import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from acme import challenges, client, crypto_util, errors, messages, standalone
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from slipway.cli.errors import CommandFailed
from slipway.cli.terminal import say
from slipway.runtime.process.certificate import CertificateUnusable, read_certificate
from slipway.runtime.process.clock import now
from slipway.runtime.process.settings import Settings
from slipway.standalone.folders import DataFolder, write_whole

HOOK_SECONDS = 300.0
"""How long the DNS command may take: until the record is seen."""
REQUEST_SECONDS = 30
_MOST_OUTPUT = 500
_PEM = serialization.Encoding.PEM


class AcmeSettings(Settings):
    """Which CA `slipway up --acme NAME` asks, and how it shows that the name is its own."""

    model_config = SettingsConfigDict(extra="ignore")

    acme_directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    """The CA's directory."""
    acme_email: str | None = None
    """Where the CA writes about its account, if it does."""
    acme_ca_file: Path | None = None
    """Who signed the certificate of the CA's own server (PEM), if that is not a CA of this machine."""
    acme_http_port: int = Field(default=80, ge=1, le=65535)
    """The port that is listened on for HTTP-01 meanwhile; the CA always comes to port 80."""
    acme_dns_hook: str | None = None
    """A command for DNS-01 instead. It gets `present` or `remove`, the name of a TXT record and its value,
    and ends with 0 once that can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    """What shows the CA that a name is ours."""

    name: str
    challenge: messages.ChallengeBody
    response: challenges.KeyAuthorizationChallengeResponse
    value: str


async def renew_certificate(*, data: str, names: Sequence[str]) -> None:
    """Store a certificate for these names, unless the stored one is good for a while."""
    settings, folder = AcmeSettings(), DataFolder(Path(data))
    if not _is_due(folder, names, settings.acme_directory):
        return
    say(f"asking {settings.acme_directory} for a certificate for {', '.join(names)}")
    try:
        await asyncio.to_thread(_obtain, folder, names, settings)
    except (errors.Error, messages.Error, JoseError, requests.RequestException) as error:
        raise CommandFailed(
            f"no certificate for {', '.join(names)} from {settings.acme_directory}: {_reason(error)}"
        ) from error
    stored = read_certificate(*folder.acme_files)
    say(f"a certificate for {', '.join(names)} was issued, until {stored.expires_at:%Y-%m-%d}")


def _is_due(folder: DataFolder, names: Sequence[str], directory: str) -> bool:
    try:
        stored = read_certificate(*folder.acme_files)
        issued = x509.load_pem_x509_certificate(folder.acme_files[0].read_bytes()).not_valid_before_utc
        account = json.loads(folder.acme_account.read_text(encoding="utf-8"))
        is_of_this_ca = account["directory"] == directory and account["has_issued"]
    except (CertificateUnusable, OSError, ValueError, KeyError):
        return True
    left = (stored.expires_at - now()) / (stored.expires_at - issued)
    return not is_of_this_ca or set(stored.names) != set(names) or left < 1 / 3


def _obtain(folder: DataFolder, names: Sequence[str], settings: AcmeSettings) -> None:
    acme, account_key = _signed_in(folder, settings)
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    order = acme.new_order(crypto_util.make_csr(key, list(names)))
    proofs = [
        _proof(each, acme, settings)
        for each in order.authorizations
        if each.body.status != messages.STATUS_VALID
    ]
    with ExitStack() as stack:
        if settings.acme_dns_hook is None:
            stack.enter_context(_shown_over_http(proofs, settings.acme_http_port))
        else:
            for proof in proofs:
                stack.enter_context(_shown_in_dns(proof, settings.acme_dns_hook))
        for proof in proofs:
            acme.answer_challenge(proof.challenge, proof.response)
        finished = acme.poll_and_finalize(order)
    write_whole(folder.acme_files[1], key.decode())
    write_whole(folder.acme_files[0], finished.fullchain_pem)
    _store_account(folder, settings, account_key, has_issued=True)


def _signed_in(folder: DataFolder, settings: AcmeSettings) -> tuple[client.ClientV2, JWK]:
    """Return a client with this installation's account and its key; it is made if there is none there."""
    key = _stored_key(folder, settings) or JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    net = client.ClientNetwork(key, alg=ES256, user_agent="slipway", timeout=REQUEST_SECONDS)
    if settings.acme_ca_file is not None:
        net.verify_ssl = str(settings.acme_ca_file)  # type: ignore[assignment]  # requests takes a file too
    acme = client.ClientV2(client.ClientV2.get_directory(settings.acme_directory, net), net)
    account = messages.NewRegistration.from_data(email=settings.acme_email, terms_of_service_agreed=True)
    try:
        acme.new_account(account)
    except errors.ConflictError as known:
        acme.query_registration(messages.RegistrationResource(uri=known.location, body=account))
    _store_account(folder, settings, key, has_issued=False)
    return acme, key


def _stored_key(folder: DataFolder, settings: AcmeSettings) -> JWK | None:
    try:
        stored = json.loads(folder.acme_account.read_text(encoding="utf-8"))
        key = JWK.from_json(stored["key"]) if stored["directory"] == settings.acme_directory else None
    except (FileNotFoundError, ValueError, KeyError, JoseError):
        # An account can always be made; without a readable key the former one is of no use.
        return None
    return key if isinstance(key, JWKEC) else None


def _store_account(folder: DataFolder, settings: AcmeSettings, key: JWK, *, has_issued: bool) -> None:
    """Store the account's key, and whether the stored certificate is from its CA."""
    content = {"directory": settings.acme_directory, "has_issued": has_issued, "key": key.to_json()}
    write_whole(folder.acme_account, f"{json.dumps(content)}\n")


def _proof(
    authorization: messages.AuthorizationResource, acme: client.ClientV2, settings: AcmeSettings
) -> _Proof:
    name = authorization.body.identifier.value
    kind = challenges.DNS01 if settings.acme_dns_hook else challenges.HTTP01
    for each in authorization.body.challenges:
        if isinstance(each.chall, kind):
            response, value = each.response_and_validation(acme.net.key)
            return _Proof(name=name, challenge=each, response=response, value=value)
    advice = "" if settings.acme_dns_hook else ": a name with * needs SLIPWAY_ACME_DNS_HOOK"
    raise CommandFailed(f"the CA does not offer {kind.typ} for {name}{advice}")


@contextmanager
def _shown_over_http(proofs: Sequence[_Proof], port: int) -> Iterator[None]:
    make = standalone.HTTP01RequestHandler.HTTP01Resource
    resources = {make(each.challenge.chall, each.response, each.value) for each in proofs}
    try:
        servers = standalone.HTTP01DualNetworkedServers(("", port), resources=resources)
    except OSError as error:
        raise CommandFailed(
            f"port {port} can't be listened on, which HTTP-01 needs ({error}); free it, or set "
            "SLIPWAY_ACME_HTTP_PORT to a port that port 80 is forwarded to, or SLIPWAY_ACME_DNS_HOOK"
        ) from error
    servers.serve_forever()
    try:
        yield
    finally:
        servers.shutdown_and_server_close()


@contextmanager
def _shown_in_dns(proof: _Proof, hook: str) -> Iterator[None]:
    record = proof.challenge.chall.validation_domain_name(proof.name)
    try:
        _run_hook(hook, "present", record, proof.value)
        yield
    finally:
        try:
            _run_hook(hook, "remove", record, proof.value)
        except CommandFailed as error:
            # What is left in DNS does no harm, and the reason why there is no certificate matters more.
            say(str(error))


def _run_hook(hook: str, *arguments: str) -> None:
    try:
        ended = subprocess.run(  # noqa: S603 - the operator's own command
            [*shlex.split(hook), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=HOOK_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"SLIPWAY_ACME_DNS_HOOK {arguments[0]} {arguments[1]}: {error}") from error
    if ended.returncode != 0:
        output = " ".join(f"{ended.stdout} {ended.stderr}".split())[-_MOST_OUTPUT:]
        raise CommandFailed(
            f"SLIPWAY_ACME_DNS_HOOK {arguments[0]} {arguments[1]} ended with status {ended.returncode}: "
            f"{output}"
        )


def _reason(error: Exception) -> str:
    """Return why the CA did not issue, in one line."""
    if not isinstance(error, errors.ValidationError):
        return " ".join(str(error).split()) or type(error).__name__
    return "; ".join(
        f"{each.body.identifier.value} ({challenge.chall.typ}): {challenge.error.detail}"
        for each in error.failed_authzrs
        for challenge in each.body.challenges
        if challenge.error is not None
    )
