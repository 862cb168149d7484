"""How to trust the broker, and what to show it: the TLS files of the configuration."""

import ssl

from penstock.errors import ConfigError
from penstock.settings.tree import Mqtt


def tls_context(settings: Mqtt) -> ssl.SSLContext:
    """The authorities to trust and the client certificate to show.

    Errors: `ConfigError` that names the file that cannot be used.
    """
    files = settings.tls
    context = ssl.create_default_context()
    context.check_hostname = files.verify_hostname
    if files.ca_file is not None:
        context = _trusting(files.ca_file, verify_hostname=files.verify_hostname)
    if files.cert_file is not None:
        try:
            context.load_cert_chain(files.cert_file, files.key_file, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"mqtt.tls.cert_file {files.cert_file} with mqtt.tls.key_file {files.key_file}: "
                f"{error}"
            ) from None
    return context


def _trusting(ca_file: str, *, verify_hostname: bool) -> ssl.SSLContext:
    """A context that trusts the authorities of one file and no other."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"mqtt.tls.ca_file {ca_file}: {error}") from None
    context.check_hostname = verify_hostname
    return context


def _no_password() -> str:
    """Refuse an encrypted key, instead of asking for its password on the terminal."""
    raise ConfigError("mqtt.tls.key_file is encrypted: give one without a password")
