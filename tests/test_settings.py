"""Settings: presets can be run, files override them, and a wrong key names the right one."""

from dataclasses import replace

import pytest

from evoprompt.commands.search import parse
from evoprompt.config import (
    PRESETS,
    Budget,
    ProposerSettings,
    SearchSettings,
    ServerSettings,
    smoke,
)
from evoprompt.errors import ConfigError
from evoprompt.settings_file import check, from_dict, read_toml, to_dict


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_usable_and_survives_being_stored(name):
    settings = PRESETS[name]()
    check(settings)
    assert from_dict(to_dict(settings), SearchSettings(), "test") == settings


def test_the_default_preset_keeps_the_promised_fidelity():
    assert PRESETS["mnist1d"]().train.recipe.steps <= 1500
    assert PRESETS["mnist1d"]().learn.steps <= 60


def test_a_toml_file_overrides_the_preset_and_flags_override_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("seed = 3\n[budget]\ngenerations = 2\nhours = 1\n[archive]\ncells = [4, 4]\n")
    folder, settings = parse(
        ["smoke", "--run", "x", "--config", str(path), "--budget.generations", "7"]
    )
    assert folder.name == "x"
    assert (settings.seed, settings.budget.generations, settings.budget.hours) == (3, 7, 1.0)
    assert settings.archive.cells == (4, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[budget]\ngeneration = 2", r"unknown setting 'budget.generation'.*'generations'"),
        ("[budget]\ngenerations = 'two'", r"'budget.generations' is 'two'; expected int"),
        ("control = 'frozen'", r"expected one of none, frozen-proposer"),
        ("budget = 3", r"expected a table"),
        ("[archive]\ncells = [1]", r"expected 2 values"),
        ("not toml at all", r"Expected a TOML file"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_the_reason(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_toml(path, SearchSettings())


def test_a_missing_settings_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot read settings"):
        parse(["--run", "x", "--config", str(tmp_path / "none.toml")])


def test_numbers_that_allow_no_search_are_refused():
    base = SearchSettings()
    with pytest.raises(ConfigError, match=r"--train.recipe.steps is 0; expected 1"):
        check(replace(base, train=replace(base.train, recipe=replace(base.train.recipe, steps=0))))
    with pytest.raises(ConfigError, match="not below"):
        check(replace(base, archive=replace(base.archive, low=(7.0, 0.0))))


def test_a_budget_of_money_needs_prices():
    spending = replace(smoke(), budget=Budget(money=2.0))
    with pytest.raises(ConfigError, match=r"budget\.money is 2\.0.*prompt-price"):
        check(spending)
    priced = replace(ProposerSettings(), server=ServerSettings(completion_price=0.5))
    check(replace(spending, proposer=priced))


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown preset 'minst1d'.*'mnist1d'"):
        parse(["minst1d", "--run", "x"])


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_a_run_name_that_is_no_name_is_refused(name):
    with pytest.raises(ConfigError, match="expected a name"):
        parse(["--run", name])
