"""What a person is told about a recipe that cannot be used."""

from goose_py.protocol.errors import UserError


class RecipeError(UserError):
    """`problems`: one line each, with file and line, what is wrong, and what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class MissingParameters(RecipeError):
    """Parameters without a value and without a default. `keys` in the order of the recipe."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        example = " ".join(f"--params {key}=your_value" for key in keys)
        super().__init__(f"Please provide the following parameters in the command line: {example}")
        self.keys = keys
