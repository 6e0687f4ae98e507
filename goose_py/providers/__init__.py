"""Models behind one port: adapters for the wire protocols, the transports beneath them, and the wrappers around them.

`open_model` is the door. Importing this package loads no SDK and no HTTP client: they load with the first request.
"""

from goose_py.providers.catalogue import ProviderSettings, resolve
from goose_py.providers.model_port import OpenModel
from goose_py.providers.open_model import open_model
from goose_py.providers.profile import Profile, cost

__all__ = ["OpenModel", "Profile", "ProviderSettings", "cost", "open_model", "resolve"]
