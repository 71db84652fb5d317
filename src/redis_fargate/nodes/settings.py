"""How to reach the nodes: one value for every connection of a run."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Port, credentials, TLS and deadlines; the same for all nodes of a cluster.

    With ``tls``, a node's certificate must be signed by ``tls_ca`` (PEM text), by ``tls_ca_file``
    (path of a PEM file), or, with neither, by an authority that the system trusts. Its name is not
    compared with the address: nodes are reached by addresses that change with every task, and who
    a node is gets checked by its node id and the task id that it announces.
    """

    port: int = 6379
    username: str | None = None
    """An ACL user; None is Redis' ``default`` user."""
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_ca: str | None = field(default=None, repr=False)
    tls_ca_file: str | None = None
    connect_timeout_s: float = 2.0
    """TCP and TLS handshakes and AUTH together."""
    answer_timeout_s: float = 5.0
    """From sending a command, or a pipeline of them, to its last answer."""
    raw: bool = False
    """Whether texts in answers are bytes, as keys have to be, and not decoded."""

    def tls_context(self) -> ssl.SSLContext | None:
        """Make the context for all connections; None without TLS.

        Raises:
            ssl.SSLError, OSError: the CA certificates cannot be read.

        """
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.tls_ca_file, cadata=self.tls_ca)
        context.check_hostname = False
        return context
