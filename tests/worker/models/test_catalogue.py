import unicodedata
from pathlib import Path

import pytest

from jobs.errors import InvalidRequest
from jobs.names import usual_prediction
from jobs.validation.model_choice import InstalledModels
from stable_diffusion import tiny
from worker.errors import UnknownModel
from worker.models.catalogue import Catalogue

INCLUDED = {path.stem for path in tiny.PATHS}


def test_files_are_models_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "v1-5-pruned-emaonly.safetensors").touch()
    (tmp_path / "dreamy.ckpt").touch()
    (tmp_path / "dreamy.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".half-written.safetensors").touch()
    (tmp_path / "folder.ckpt").mkdir()
    installed = Catalogue(tmp_path, "tiny").installed()
    assert set(installed) - INCLUDED == {"sd15", "dreamy", "dreamy.ckpt"}
    assert installed["dreamy"].suffix == ".safetensors"


def test_a_file_dropped_in_while_the_worker_runs_is_found(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "models", "tiny")
    with pytest.raises(UnknownModel):
        catalogue.find("sd14")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sd1.4.ckpt").touch()
    assert catalogue.find("sd1.4") == ("sd14", tmp_path / "models" / "sd1.4.ckpt")


def test_default_is_the_configured_model(tmp_path: Path) -> None:
    (tmp_path / "sd14.ckpt").touch()
    assert Catalogue(tmp_path, "sd1.4").find("default")[0] == "sd14"


def test_the_shipped_model_needs_no_models_folder(tmp_path: Path) -> None:
    if not tiny.PATH.is_file():
        pytest.skip("the tiny model has not been trained yet")
    assert Catalogue(tmp_path / "nowhere", "tiny").find("tiny") == ("tiny", tiny.PATH)


def test_a_users_file_takes_precedence_over_the_shipped_model(tmp_path: Path) -> None:
    (tmp_path / "tiny.safetensors").touch()
    assert Catalogue(tmp_path, "tiny").find("tiny")[1] == tmp_path / "tiny.safetensors"


ODD_NAMES = (
    "X.SAFETENSORS",
    "my model .safetensors",
    "  leading and trailing  .ckpt",
    unicodedata.normalize("NFD", "café") + ".safetensors",
    unicodedata.normalize("NFC", "naïve") + ".safetensors",
    "v1.5.safetensors",
    "50% off [final] {2}.ckpt",
    "🐉 dragon.ckpt",
    "мой.safetensors",
    "n" * 200 + ".ckpt",
    "a\\b.ckpt",
    "default.ckpt",
    "sd15 [6ce0161689].ckpt",
    "v1-5-pruned.safetensors",
    "v1-5-pruned-emaonly.safetensors",
    "twice.ckpt",
    "style/ink.safetensors",
    "style/deeper/Ink 2.ckpt",
)


@pytest.fixture
def odd_files(tmp_path: Path) -> Path:
    for name in ODD_NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_whatever_is_listed_can_be_asked_for(odd_files: Path) -> None:
    catalogue = Catalogue(odd_files, "tiny")
    installed = catalogue.installed()
    assert {path for path in installed.values() if odd_files in path.parents} == {
        odd_files / name for name in ODD_NAMES
    }
    models = InstalledModels(default="tiny", names=tuple(installed))
    for name, path in installed.items():
        for spelling in (
            name,
            f" {name} ",
            unicodedata.normalize("NFD", name),
            unicodedata.normalize("NFC", name),
        ):
            assert catalogue.find(models.choose(spelling).name) == (name, path)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_model_can_be_asked_for_by_the_name_of_its_file(odd_files: Path, name: str) -> None:
    catalogue = Catalogue(odd_files, "tiny")
    models = InstalledModels(default="tiny", names=tuple(catalogue.installed()))
    assert catalogue.find(models.choose(name).name)[1] == odd_files / name


def test_of_two_files_of_a_name_the_suffix_decides_else_the_safe_one_is_taken(
    tmp_path: Path,
) -> None:
    for name in ("A.ckpt", "A.safetensors"):
        (tmp_path / name).touch()
    find = Catalogue(tmp_path, "tiny").find
    assert find("A.ckpt")[1].name == "A.ckpt"
    assert find("A.safetensors")[1].name == find("A")[1].name == "A.safetensors"


def test_a_model_in_a_subfolder_goes_by_its_path_and_if_unique_by_its_name(tmp_path: Path) -> None:
    for name in ("style/ink.ckpt", "style/oil.ckpt", "old/oil.ckpt", "sd/v2-1_768-ema-pruned.ckpt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    catalogue = Catalogue(tmp_path, "tiny")
    for spelling in ("style/ink", "style\\ink", "style/ink.ckpt", "ink", "ink.ckpt"):
        assert catalogue.find(spelling)[0] == "style/ink"
    assert catalogue.find("sd21v")[0] == "sd/v2-1_768-ema-pruned"
    assert usual_prediction("sd/v2-1_768-ema-pruned") == "v"
    assert catalogue.find("old/oil")[0] == "old/oil"
    for spelling in ("oil", "../style/ink", "style/../style/ink", "/style/ink", "style"):
        with pytest.raises(UnknownModel):
            catalogue.find(spelling)
        with pytest.raises(InvalidRequest):
            InstalledModels(names=tuple(catalogue.installed())).choose(spelling)


def test_links_that_lead_back_are_followed_once_and_other_folders_are_left_out(
    tmp_path: Path,
) -> None:
    models, loras = tmp_path / "models", tmp_path / "models" / "loras"
    for name in ("a/b/c.ckpt", "vae/x.ckpt", "upscalers/y.safetensors", "loras/z.safetensors"):
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).touch()
    (models / "a" / "loop").symlink_to(models)
    (models / "broken").symlink_to(models / "nowhere")
    installed = Catalogue(models, "tiny", loras_dir=loras).installed()
    assert set(installed) - INCLUDED == {"a/b/c"}


def test_an_embedding_is_called_by_its_name_in_composed_unicode(tmp_path: Path) -> None:
    for name in ("cafe\u0301.pt", "shiny .SAFETENSORS"):
        (tmp_path / name).touch()
    found = Catalogue(tmp_path / "none", "tiny", embeddings_dir=tmp_path).embeddings()
    assert set(found) == {"caf\u00e9", "shiny"}


def test_an_embedding_in_a_subfolder_is_called_as_a_lora_is(tmp_path: Path) -> None:
    for name in ("style/ink.pt", "style/ink.safetensors", "a/Cat.bin", "b/c/cat.pt", "ink.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    catalogue = Catalogue(tmp_path / "none", "tiny", embeddings_dir=tmp_path)
    assert set(catalogue.embeddings()) == {"style/ink", "a/Cat", "b/c/cat"}
    assert catalogue.embedding_aliases() == {"ink": tmp_path / "style/ink.safetensors"}
    (tmp_path / "ink.pt").touch()
    assert catalogue.embeddings()["ink"] == tmp_path / "ink.pt"
    assert catalogue.embedding_aliases() == {}


def test_an_autoencoder_beside_a_model_is_no_model(tmp_path: Path) -> None:
    for name in ("m.ckpt", "m.vae.pt", "m.vae.ckpt", "m.VAE.safetensors", "other.vae.safetensors"):
        (tmp_path / name).touch()
    assert set(Catalogue(tmp_path, "tiny").installed()) - INCLUDED == {"m"}


def test_the_two_files_of_a_small_autoencoder_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "vae"
    folder.mkdir()
    for name in ("taesd_decoder.pth", "taesd_encoder.pth", "taesdxl.safetensors", "mse.pt"):
        (folder / name).touch()
    catalogue = Catalogue(tmp_path, "tiny")
    assert catalogue.vaes() == {
        "taesd": folder / "taesd_decoder.pth",
        "taesdxl": folder / "taesdxl.safetensors",
        "mse": folder / "mse.pt",
        "taesd-tiny": tiny.SMALL_DECODER_PATH,
    }
    key = catalogue.model_key("tiny", vae="taesd.pth")
    assert key.vae == folder / "taesd_decoder.pth"
    (folder / "taesd_encoder.pth").write_bytes(b"changed")
    assert catalogue.model_key("tiny", vae="taesd").is_older(key)
