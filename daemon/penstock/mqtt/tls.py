"""How to trust the broker, and what to show it: the TLS files of the configuration."""

import ssl

from penstock.errors import ConfigError
from penstock.settings.tree import Mqtt


def tls_context(settings: Mqtt) -> ssl.SSLContext:
    """The authorities to trust and the client certificate to show.

    Errors: `ConfigError` that names the file that cannot be used.
    """
    files = settings.tls
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"mqtt.tls.ca_file {files.ca_file}: {error}") from None
    context.check_hostname = files.verify_hostname
    if files.cert_file is not None:
        try:
            context.load_cert_chain(files.cert_file, files.key_file, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"mqtt.tls.cert_file {files.cert_file} with mqtt.tls.key_file {files.key_file}: "
                f"{error}"
            ) from None
    return context


def _no_password() -> str:
    """Refuse an encrypted key, instead of asking for its password on the terminal."""
    raise ConfigError("mqtt.tls.key_file is encrypted: give one without a password")
