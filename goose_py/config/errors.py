"""What a person is told about a configuration that cannot be used."""

from goose_py.protocol.errors import UserError


class ConfigError(UserError):
    """`problems`: one line each, with file and line, what is wrong, and what to do."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
