"""Where secrets come from: a file, a systemd credential, or the environment.

A secret is a table with one key: `{file: /path}`, `{credential: name}` (a file that systemd puts in
`$CREDENTIALS_DIRECTORY`, see systemd.exec(5)), or `{env: NAME}`. A DSN may also stand in the
configuration as it is. What was read is never shown: faults and warnings name the source alone.
"""

import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from penstock.settings.document import Node, Scalar, Table
from penstock.settings.dsn import holds_password
from penstock.settings.secret import Secret

FORMS = "{file: /path}, {credential: name} or {env: NAME}"
_KINDS = ("file", "credential", "env")
_MAX_BYTES = 65_536


class Unavailable(Exception):  # noqa: N818 - says why, to whoever reads the faults
    """The secret cannot be had; the text says why and never holds it."""


class SecretSources:
    """Reads secrets; `warnings` gathers what an operator should mend although it works.

    `configuration` is the file that names them, `None` when there is none.
    """

    def __init__(self, environ: Mapping[str, str], configuration: Path | None = None) -> None:
        self._environ = environ
        self._configuration = configuration
        self.warnings: list[str] = []

    def literal(self, text: str) -> Secret:
        """The secret that stands in the configuration as it is."""
        secret, file = Secret(text), self._configuration
        if file is not None and holds_password(secret):
            self._warn_if_public(file)
        return secret

    def read(self, table: Table) -> Secret:
        """The secret that `table` points at. Raises `Unavailable`."""
        kind, name = _source(table)
        if kind == "env":
            text = self._environ.get(name)
            if text is None:
                raise Unavailable(f"the environment variable {name} is not set")
        else:
            text = self._file(Path(name) if kind == "file" else self._credential(name))
        if not text:
            raise Unavailable(f"the {kind} {name} is empty")
        return Secret(text)

    def _warn_if_public(self, configuration: Path) -> None:
        # It was read already; while it is being replaced there is none to warn of.
        with suppress(OSError):
            if _everybody_can_read(configuration):
                self.warnings.append(
                    f"{configuration} holds a password and everybody can read it: say where the "
                    f"secret is instead ({FORMS}), or let only the daemon's user read the file"
                )

    def _credential(self, name: str) -> Path:
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise Unavailable(
                "CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit with LoadCredential="
            )
        if "/" in name or name in {".", ".."}:
            raise Unavailable(f"{name} is not the name of a credential")
        return Path(directory) / name

    def _file(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                public = _everybody_can_read(path)
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:  # a NUL in the path
            raise Unavailable("is not the path of a file") from error
        if len(content) > _MAX_BYTES:
            raise Unavailable(f"{path} is longer than {_MAX_BYTES} bytes")
        if public:
            self.warnings.append(
                f"{path} holds a secret and everybody can read it: chmod o-r {path}"
            )
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unavailable(f"{path} is not UTF-8") from error
        # Editors and `echo` end a file with a newline that is not part of the secret; one is enough
        # to forgive.
        return text.removesuffix("\n").removesuffix("\r")


def referenced_variables(node: Node) -> set[str]:
    """The names in every `{env: NAME}` below `node`: variables that are not overrides."""
    if isinstance(node, Scalar):
        return set()
    if isinstance(node, Table):
        named = node.items.get("env")
        own = {named.text} if isinstance(named, Scalar) and len(node.items) == 1 else set()
        return own.union(*(referenced_variables(child) for child in node.items.values()))
    return set().union(*(referenced_variables(child) for child in node.items))


def _everybody_can_read(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)


def _source(table: Table) -> tuple[str, str]:
    if len(table.items) != 1:
        raise Unavailable(f"expected exactly one of {FORMS}")
    kind, node = next(iter(table.items.items()))
    if kind not in _KINDS or not isinstance(node, Scalar) or not node.text:
        raise Unavailable(f"expected {FORMS}")
    return kind, node.text
