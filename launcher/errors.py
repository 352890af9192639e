"""Why the service does not start or run. Each error's text is one line."""


class LauncherError(Exception):
    """The base class. Its text is the line that the terminal shows.

    LauncherError
    ├── PortInUse        another process listens on the API's port
    ├── DataFolderInUse  another launcher uses the same data folder
    ├── ServiceEnded     a process of the service died
    ├── ModelMissing     no worker has the default model
    ├── NotReady         all processes run, but the service did not answer in time
    ├── DemoFailed       the demo got no picture
    └── Interrupted      Ctrl-C, SIGTERM or SIGHUP; not a fault
    """


class PortInUse(LauncherError):
    """The API's port is taken."""


class DataFolderInUse(LauncherError):
    """Another launcher holds the lock of the data folder."""


class ServiceEnded(LauncherError):
    """A process of the service ended by itself."""


class ModelMissing(LauncherError):
    """Everything runs, but no worker has the default model."""


class NotReady(LauncherError):
    """The service did not become ready in time."""


class DemoFailed(LauncherError):
    """The demo's request was refused, or its job failed."""


class Interrupted(LauncherError):
    """A signal asked the launcher to stop."""
