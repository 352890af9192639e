"""What can keep the service from starting or running, each said in one line."""


class LauncherError(Exception):
    """The root; its text is the one line that the person at the terminal reads.

    LauncherError
    ├── PortInUse        somebody listens where the API should
    ├── DataFolderInUse  another launcher works in the same data folder
    ├── ServiceEnded     a process of the service died
    ├── ModelMissing     no worker has the default model
    ├── NotReady         nothing died, but nothing answers either
    ├── DemoFailed       the demo's picture did not come
    └── Interrupted      Ctrl-C or SIGTERM; not a fault
    """


class PortInUse(LauncherError):
    """The API's port is taken."""


class DataFolderInUse(LauncherError):
    """Another launcher holds the lock of the data folder."""


class ServiceEnded(LauncherError):
    """A process of the service ended by itself."""


class ModelMissing(LauncherError):
    """Everything runs, but no worker has the model that a request means by `default`."""


class NotReady(LauncherError):
    """The service did not become ready in time."""


class DemoFailed(LauncherError):
    """The demo's request was refused, or its job failed."""


class Interrupted(LauncherError):
    """The person at the terminal, or the system, asked us to end."""
