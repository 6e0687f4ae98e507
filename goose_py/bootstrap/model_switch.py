"""Whether another model can take a conversation over, found out before it is handed over."""

from goose_py.agent.context import project
from goose_py.bootstrap.models import Answers
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Image, Message, ModelRef, ToolMessage, UserMessage
from goose_py.protocol.model_io import ModelRequest
from goose_py.providers.fitness import misfit
from goose_py.session.state import SessionState


async def check_switch(models: Answers, state: SessionState, ref: ModelRef) -> tuple[str, ...]:
    """What a person should know of the switch, a sentence each. Raises GooseError in one sentence where it cannot be made:
    an unknown model, a missing key, a window that is too small. Nobody but a server on this machine is asked."""
    profile = (await models.open(ref)).profile
    prefix = state.prefix
    if prefix is None:
        return ()
    messages = state.conversation.messages()
    request = ModelRequest(
        model=ref.model,
        system=prefix.system,
        tools=prefix.tools,
        messages=project(messages, ref, images=profile.images),
        effort=ref.effort,
        max_output_tokens=profile.max_output_tokens,
    )
    if (refusal := misfit(request, profile)) is not None:
        raise UserError(refusal)
    pictures = 0 if profile.images else sum(_pictures(message) for message in messages)
    if not pictures:
        return ()
    return (f"{ref.model} takes no pictures: {pictures} in this conversation are only named to it.",)


def _pictures(message: Message) -> int:
    if isinstance(message, UserMessage):
        return sum(isinstance(part, Image) for part in message.parts)
    if isinstance(message, ToolMessage):
        return sum(isinstance(part, Image) for result in message.results for part in result.content)
    return 0
