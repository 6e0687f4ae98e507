"""The MCP client: several extensions, over several transports, as one set of tools. Importing it loads no SDK."""

from goose_py.toolbox.approved_tools import ToolChange, fingerprint
from goose_py.toolbox.elicitation import Answer, Ask, Question
from goose_py.toolbox.extension import ExtensionStatus, Resolved, StateChange
from goose_py.toolbox.extension_host import ExtensionHost, Launch
from goose_py.toolbox.manifest import Manifest
from goose_py.toolbox.processes import ProcessRecord, reap
from goose_py.toolbox.spec import Builtin, ExtensionSpec, InProcess, Stdio, StreamableHttp
from goose_py.toolbox.toolbox import Places, Toolbox

__all__ = [
    "Answer",
    "Ask",
    "Builtin",
    "ExtensionHost",
    "ExtensionSpec",
    "ExtensionStatus",
    "InProcess",
    "Launch",
    "Manifest",
    "Places",
    "ProcessRecord",
    "Question",
    "Resolved",
    "StateChange",
    "Stdio",
    "StreamableHttp",
    "ToolChange",
    "Toolbox",
    "fingerprint",
    "reap",
]
