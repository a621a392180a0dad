"""Options: presets, overrides, and one clear line for whatever is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from blinddps_sci.engine.config import QUALITIES, RestoreConfig, make_config, parse_noise, read_toml
from blinddps_sci.errors import ConfigError


def message_of(options: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        make_config(options)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


def test_the_defaults_are_those_of_the_default_preset() -> None:
    assert make_config({}) == make_config({"quality": "default"}) == RestoreConfig()


PRESETS = [(sampler, quality) for sampler, presets in QUALITIES.items() for quality in presets]


@pytest.mark.parametrize(("sampler", "quality"), PRESETS)
def test_a_preset_is_applied_first_and_explicit_options_override_it(sampler: str, quality: str) -> None:
    preset = QUALITIES[sampler][quality]
    config = make_config({"sampler": sampler, "quality": quality})
    assert config.sampler == sampler
    assert {name: getattr(config, name) for name in preset} == preset
    overridden = make_config({"sampler": sampler, "quality": quality, "steps": 7})
    assert overridden.steps == 7
    assert overridden.samples == preset["samples"]


def test_a_sampler_without_a_quality_has_its_own_default() -> None:
    assert make_config({"sampler": "dps"}).steps == QUALITIES["dps"]["default"]["steps"]
    assert make_config({"sampler": "dps"}).chains == 1
    assert make_config({"quality": "best"}) == make_config({"sampler": "split", "quality": "best"})


def test_every_name_of_quality_has_its_preset() -> None:
    fields = RestoreConfig.model_fields
    assert set(QUALITIES) == set(get_args(fields["sampler"].annotation))
    for presets in QUALITIES.values():
        assert set(presets) == set(get_args(fields["quality"].annotation))
        assert all(set(preset) <= set(fields) for preset in presets.values())


def test_text_of_the_command_line_becomes_numbers() -> None:
    config = make_config({"steps": "12", "memory_limit": "0.5", "hdu": "SCI,2"})
    assert (config.steps, config.memory_limit, config.hdu) == (12, 0.5, "SCI,2")


def test_a_configuration_cannot_be_changed() -> None:
    config = make_config({})
    with pytest.raises(ValueError, match="frozen"):
        config.steps = 3  # type: ignore[misc]


def test_an_unknown_option_is_refused_with_all_names() -> None:
    text = message_of({"stepz": 3})
    assert "'stepz'" in text
    assert all(name in text for name in RestoreConfig.model_fields)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("steps", -1, "greater than or equal to 2"),
        ("steps", "many", "valid integer"),
        ("steps", 2.5, "valid integer"),
        ("samples", 0, "greater than or equal to 1"),
        ("chains", 65, "less than or equal to 64"),
        ("psf_size", 2, "greater than or equal to 3"),
        ("psf", "wild", "'per-tile', 'smooth' or 'shared'"),
        ("sampler", "gibbs", "'split' or 'dps'"),
        ("quality", "ultra", "'fast', 'default' or 'best'"),
        ("device", "tpu", "'auto', 'cpu' or 'cuda'"),
        ("model", "fog", "'blur'"),
        ("seed", -1, "greater than or equal to 0"),
        ("tile", 16, "greater than or equal to 32"),
        ("overlap", -1, "greater than or equal to 0"),
        ("keep_trajectory", -1, "greater than or equal to 0"),
        ("memory_limit", 0, "greater than 0"),
        ("memory_limit", float("inf"), "finite number"),
        ("memory_limit", float("nan"), "finite number"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    text = message_of({name: value})
    assert text.startswith(f"{name}: ")
    assert allowed in text
    assert repr(value) in text


def test_tiles_that_cannot_overlap_so_much_are_refused_with_the_limit() -> None:
    text = message_of({"tile": 64, "overlap": 33})
    assert "overlap 33" in text
    assert "at most 32" in text
    assert make_config({"tile": 64, "overlap": 32}).overlap == 32
    assert "unit 64 is smaller than tile 96" in message_of({"tile": 96, "overlap": 8, "unit": 64})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", ("auto", ())),
        ("poisson", ("poisson", ())),
        ("gaussian:1e-3", ("gaussian", (1e-3,))),
        ("poisson-gaussian:2,3.5", ("poisson-gaussian", (2.0, 3.5))),
    ],
)
def test_noise_is_split_into_model_and_numbers(text: str, expected: tuple[str, tuple[float, ...]]) -> None:
    assert parse_noise(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "gaussian", "gaussian:", "gaussian:0", "gaussian:-1", "gaussian:nan", "gaussian:inf",
        "gaussian:1,2", "poisson:1", "auto:1", "poisson-gaussian:1", "poisson-gaussian:1,x",
        "poisson-gaussian:0,1", "poisson-gaussian:1,1,nan", "poisson-gaussian:1,1,1,1",
    ],
)  # fmt: skip
def test_noise_of_another_form_is_refused_with_the_forms(text: str) -> None:
    assert "gaussian:SIGMA, poisson, poisson-gaussian:GAIN,READ[,BACKGROUND], auto" in message_of(
        {"noise": text}
    )


def test_toml_options_are_read(tmp_path: Path) -> None:
    file = tmp_path / "options.toml"
    file.write_text('quality = "fast"\nsteps = 9\nhdu = 1\n')
    config = make_config(read_toml(file))
    assert (config.steps, config.samples, config.hdu) == (9, QUALITIES["split"]["fast"]["samples"], 1)


def test_a_toml_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_toml(tmp_path / "missing.toml")
    for name, content in (("bad.toml", b"steps = ="), ("binary.toml", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match="not valid TOML"):
            read_toml(tmp_path / name)


def test_a_section_in_a_toml_file_is_an_unknown_option(tmp_path: Path) -> None:
    file = tmp_path / "options.toml"
    file.write_text("[restore]\nsteps = 9\n")
    assert "'restore'" in message_of(read_toml(file))
