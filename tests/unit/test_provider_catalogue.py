"""Presets, models, overrides and money."""

import pytest

from goose_py.protocol.errors import AuthenticationFailed, UserError
from goose_py.protocol.messages import ModelRef, Usage
from goose_py.providers import Profile, ProviderSettings, cost, open_model, resolve
from goose_py.providers.catalogue import model_names, presets, provider_names
from goose_py.providers.fitness import window_warning
from goose_py.providers.profile import EFFORTS, Price, effort_value

WANTED = {
    "anthropic", "openai", "ollama", "lmstudio", "llamacpp", "vllm", "openrouter", "deepseek", "moonshot", "dashscope", "zhipu",
    "minimax", "mistral", "gemini", "xai", "groq", "together", "azure", "bedrock", "vertex", "scripted", "openai-compatible",
    "anthropic-compatible", "responses-compatible",
}  # fmt: skip


def ref(provider: str, model: str) -> ModelRef:
    return ModelRef(provider=provider, model=model)


def test_every_preset_and_every_listed_model_makes_a_profile() -> None:
    assert set(provider_names()) == WANTED
    for provider in provider_names():
        for model in (*model_names(provider), "something-else"):
            profile = resolve(ref(provider, model))
            assert 0 < profile.max_output_tokens < profile.context_window, (provider, model)
            assert profile.price is None or profile.price.as_of or presets()[provider].local, (provider, model)
            assert set(profile.efforts) <= set(EFFORTS)
            if profile.transport == "sdk":
                assert profile.sdk


def test_the_data_of_presets_is_such_as_a_person_could_use() -> None:
    for name, preset in presets().items():
        assert preset.title, name
        address = preset.profile.get("base_url", "")
        if preset.local and address:
            assert address.startswith("http://127.0.0.1"), (name, "asked without a name service")
        elif address:
            assert address.startswith("https://") and not address.endswith("/"), name
        for key in preset.profile.get("key_env", ()):
            assert key.isupper() and key.replace("_", "").isalnum(), (name, key)
        keyless = preset.profile.get("needs_key", True) is False
        assert keyless or preset.profile.get("key_env") or preset.profile.get("sdk"), name
        assert not preset.vendor or preset.vendor in presets(), name


def test_the_figures_of_models_are_possible_ones() -> None:
    for provider in provider_names():
        for model in model_names(provider):
            profile = resolve(ref(provider, model))
            assert 2_000 <= profile.context_window <= 20_000_000, (provider, model)
            if (price := profile.price) is None:
                continue
            for amount in (price.input, price.output, price.cache_read, price.cache_write):
                assert amount is None or 0 <= amount <= 1_000, (provider, model, "US dollars per million tokens")
            assert price.cache_read is None or price.cache_read <= price.input, (provider, model)
            assert price.long is None or price.long.over < profile.context_window, (provider, model)


def test_a_default_model_is_one_that_the_catalogue_knows() -> None:
    for name, preset in presets().items():
        if preset.default_model and name != "scripted":
            assert preset.default_model in model_names(name), name


def test_prices_say_when_and_where_they_were_read() -> None:
    price = resolve(ref("anthropic", "claude-sonnet-5")).price
    assert price is not None and price.as_of == "2026-07-01" and "models.dev" in price.source


def test_a_model_that_is_not_listed_gets_safe_figures_and_says_so() -> None:
    unknown = resolve(ref("vllm", "my-finetune"))
    assert unknown.assumed and unknown.context_window == 32_768 and unknown.efforts == {}
    newer = resolve(ref("anthropic", "claude-opus-5-5"))
    assert newer.assumed and newer.price is None and newer.thinking == "adaptive"
    given = resolve(ref("vllm", "my-finetune"), ProviderSettings(models={"my-*": {"context_window": 65_536}}))
    assert not given.assumed and given.context_window == 65_536


@pytest.mark.parametrize(
    ("provider", "model", "like"),
    [
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
        ("vertex", "claude-opus-4-8@default", "claude-opus-4-8"),
        ("azure", "gpt-5.5", "gpt-5.5"),
        ("openai", "gpt-5.4-2026-03-05", "gpt-5.4"),
    ],
)
def test_a_clouds_own_name_for_a_model_has_the_models_figures(provider: str, model: str, like: str) -> None:
    vendor = "openai" if "gpt" in model else "anthropic"
    found, original = resolve(ref(provider, model)), resolve(ref(vendor, like))
    assert not found.assumed and (found.context_window, found.price) == (original.context_window, original.price)


def test_a_variant_that_is_no_snapshot_is_not_taken_for_the_model() -> None:
    assert resolve(ref("openai", "gpt-5.5-ultra-huge")).assumed


def test_settings_override_the_model_and_the_model_its_preset() -> None:
    settings = ProviderSettings(
        base_url="http://127.0.0.1:9999/v1/",
        headers={"x-a": "1"},
        timeouts={"idle": 7},
        profile={"tool_set": "small", "context_window": 1_000},
        models={"qwen*": {"context_window": 2_000}, "qwen3:8b": {"context_window": 4_000}},
    )
    profile = resolve(ref("vllm", "qwen3:8b"), settings)
    assert profile.base_url == "http://127.0.0.1:9999/v1"
    assert (profile.context_window, profile.tool_set, profile.timeouts.idle) == (4_000, "small", 7)
    assert profile.timeouts.first_byte == 600 and profile.headers == {"x-a": "1"}


def test_a_provider_of_the_users_own_starts_from_a_preset() -> None:
    settings = ProviderSettings(preset="openai-compatible", base_url="http://10.0.0.5/v1")
    profile = resolve(ref("work", "big-model"), settings)
    assert (profile.provider, profile.protocol, profile.needs_key) == ("work", "chat", False)


@pytest.mark.parametrize(
    ("provider", "model", "settings", "said"),
    [
        ("antropic", "x", {}, r"'antropic'\. Did you mean anthropic"),
        ("zzz", "x", {}, r"Known are: anthropic, .*preset = .openai-compatible."),
        ("openai", "", {}, r"No model is named for openai\. Known are: gpt"),
        ("openai", "gpt-5.5", {"base_url": "api.openai.com"}, r"must begin with http:// or https://"),
        ("openai", "gpt-5.5", {"profile": {"context_windw": 5}}, r"openai do not fit: .*context_windw"),
        ("openai", "gpt-5.5", {"timeouts": {"idle": "long"}}, r"openai do not fit: .*timeouts.idle"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(provider: str, model: str, settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        resolve(ref(provider, model), ProviderSettings(**settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "settings", "said"),
    [
        ("anthropic", {}, r"Anthropic needs a key: set ANTHROPIC_API_KEY, or run `goose-py configure`"),
        ("gemini", {}, "set GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("azure", {"api_key": "k", "transport": "http"}, "needs a base URL"),
        ("ollama", {"transport": "sdk"}, "has no official client"),
        ("scripted", {}, "needs a file of turns"),
        ("openai-compatible", {}, "needs a base URL"),
    ],
)
def test_what_is_missing_to_open_a_model_is_one_sentence(provider: str, settings: dict, said: str) -> None:
    with pytest.raises((UserError, AuthenticationFailed), match=said) as caught:
        open_model(ref(provider, "m"), ProviderSettings(**settings), now=lambda: 0.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("effort", "efforts", "value"),
    [
        ("high", {"low": "l", "high": "h"}, "h"),
        ("medium", {"low": "l", "high": "h"}, "l"),
        ("minimal", {"low": "l", "high": "h"}, "l"),
        ("max", {"off": "o", "low": "l", "high": "h"}, "h"),
        ("minimal", {"off": "o", "low": "l"}, "l"),
        ("off", {"off": "o", "low": "l"}, "o"),
        ("off", {"low": "l"}, "l"),
        (None, {"low": "l"}, None),
        ("high", {}, None),
        ("off", {"off": False, "high": True}, False),
    ],
)
def test_an_effort_that_a_model_lacks_becomes_the_nearest(effort: str | None, efforts: dict, value: object) -> None:
    profile = Profile(provider="p", model="m", protocol="chat", efforts=efforts)
    assert effort_value(profile, effort) == value


def test_cost_counts_each_kind_of_token_at_its_price() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=100_000, cache_read_tokens=2_000_000, cache_write_tokens=10_000)
    price = Price(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75)
    assert cost(usage, Profile(provider="p", model="m", protocol="chat", price=price)) == pytest.approx(5.1375)
    plain = Price(input=3.0, output=15.0)
    assert cost(usage, Profile(provider="p", model="m", protocol="chat", price=plain)) == pytest.approx(10.53)
    assert cost(usage, Profile(provider="p", model="m", protocol="chat")) is None
    assert cost(usage, resolve(ref("ollama", "m"))) == 0.0


def test_a_long_request_costs_the_long_price_as_a_whole() -> None:
    profile = resolve(ref("openai", "gpt-5.5"))
    short, long = Usage(input_tokens=272_000, output_tokens=1_000), Usage(input_tokens=272_001, output_tokens=1_000)
    assert cost(short, profile) == pytest.approx(272_000 * 5e-6 + 1_000 * 30e-6)
    assert cost(long, profile) == pytest.approx(272_001 * 10e-6 + 1_000 * 45e-6)


def test_a_window_that_system_prompt_and_tools_fill_is_said_with_the_remedy() -> None:
    profile = resolve(ref("ollama", "tiny"), ProviderSettings(profile={"context_window": 4_096}))
    assert window_warning("x" * 4_000, (), profile) is None
    assert "take more than half of" in (window_warning("x" * 10_000, (), profile) or "")
    said = window_warning("x" * 40_000, (), profile)
    assert said and "do not fit" in said and 'models."ollama/tiny".context_window' in said and "fewer extensions" in said
