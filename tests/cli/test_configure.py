"""Setting up: providers, keys, settings, and what is said of a machine."""

from command import User, answered

FOUND_CHECKS = True  # the configuration is asserted as it was written


def config(user: User):
    return user.root / "home" / "config" / "config.toml"


async def test_a_server_of_ones_own_is_configured_by_flags_and_answers_at_once(user):
    async with answered(user, [{"text": "Hello."}], "chat") as server:
        config(user).unlink()
        address = server.base_url("chat")
        done = await user.goose("configure", "--provider", "mine", "--protocol", "chat", "--base-url", address, "--model", "m")
        assert done.code == 0, done
        ended = await user.goose("run", "-t", "Hi")
        assert ended.out.strip() == "Hello.", ended


async def test_a_key_is_kept_in_a_private_file_where_no_keyring_works_and_never_printed(user):
    secret = "sk-ant-not-a-real-key-0123456789"
    done = await user.goose(
        "configure", "--provider", "anthropic", "--model", "claude-sonnet-5", "--key-stdin", stdin=secret + "\n"
    )
    assert done.code == 0 and secret not in done.out + done.err, done
    assert "No keyring works here" in done.err
    file = user.root / "home" / "config" / "secrets.json"
    assert file.stat().st_mode & 0o777 == 0o600 and secret in file.read_text()
    shown = await user.goose("doctor")
    assert "ANTHROPIC_API_KEY (file)" in shown.out and secret not in shown.out


async def test_only_what_was_asked_for_changes_in_the_users_file(user):
    user.configure("# mine\nprovider = 'openai'   # for now\n\n[ui]\nascii = true # my terminal\n")
    assert (await user.goose("config", "set", "provider", "anthropic")).code == 0
    assert (await user.goose("config", "set", "limits.max_cost", "2.5")).code == 0
    text = config(user).read_text()
    assert text.startswith("# mine\nprovider = ") and "# for now" in text and "ascii = true # my terminal" in text
    assert (await user.goose("config", "get", "limits.max_cost")).out.strip() == "2.5"
    before = text
    for bad in (("providr", "x"), ("mode", "yolo"), ("limits.max_cost", "many")):
        refused = await user.goose("config", "set", *bad)
        assert refused.code == 2 and len(refused.err.strip().splitlines()) == 1, refused
    assert config(user).read_text() == before
    assert (await user.goose("config", "unset", "limits.max_cost")).code == 0
    listed = await user.goose("config", "list")
    assert "limits.max_cost" in listed.out and "[user]" in listed.out


async def test_what_is_wrong_in_the_file_is_one_line_with_its_place_and_the_nearest_name(user):
    user.configure("provider = 'anthropic'\nmodle = 'x'\n\n[limits]\nmax_turns = 'many'\n")
    ended = await user.goose("run", "-t", "hi")
    assert ended.code == 2 and "Traceback" not in ended.err
    assert "config.toml:2" in ended.err and "model" in ended.err
    assert "config.toml:5" in ended.err and "max_turns" in ended.err


async def test_without_anything_configured_everything_says_what_to_do(user):
    ended = await user.goose("run", "-t", "hi")
    assert ended.code == 2 and "goose-py configure" in ended.err and "goose-py demo" in ended.err
    doctor = await user.goose("doctor")
    assert "goose-py configure" in doctor.out and "Sandbox:" in doctor.out and "git " in doctor.out
    asked = await user.goose("configure")
    assert asked.code == 2 and "--provider" in asked.err


async def test_the_settings_of_goose_are_taken_over(user):
    goose = user.root / "goose.yaml"
    goose.write_text("GOOSE_PROVIDER: anthropic\nGOOSE_MODEL: claude-sonnet-5\nGOOSE_MODE: smart_approve\nextensions: {}\n")
    done = await user.goose("configure", "--from-goose", str(goose))
    assert done.code == 0, done
    assert 'provider = "anthropic"' in config(user).read_text()
    again = await user.goose("configure", "--from-goose", str(goose))
    assert "was not changed" in again.err


async def test_a_models_abilities_are_asked_of_the_model_and_a_dead_server_is_said_to_be_dead(user):
    async with answered(user, [{"text": "ready", "repeat": 0}], "chat"):
        probed = await user.goose("doctor", "model")
        assert probed.code == 1 and "✓ answers" in probed.out and "✗ calls a tool" in probed.out
        assert (await user.goose("models", "probe")).code == 0
    gone = await user.goose("doctor", "model", seconds=120)
    assert gone.code == 5 and "127.0.0.1" in gone.out


async def test_models_are_listed_and_shown_without_contacting_anybody(user):
    assert "anthropic" in (await user.goose("models", "list")).out
    listed = (await user.goose("models", "list", "anthropic")).out.split()
    shown = await user.goose("models", "show", listed[0])
    assert shown.code == 0 and "tokens" in shown.out
    wrong = await user.goose("models", "list", "antropic")
    assert wrong.code == 2 and "anthropic" in wrong.err
