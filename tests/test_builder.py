"""The TFDS face: the standard test case, and what users meet: missing files, stale data, kills, full disks."""

import dataclasses
import functools
import http.server
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amazon_files as files
import numpy as np
import pytest

import tfdat.backend  # noqa: F401  (the legacy-Keras switch comes before TensorFlow)

import tensorflow_datasets as tfds  # isort: skip
from amazon_books import releases  # isort: skip
from amazon_books.build import download  # isort: skip
from amazon_books.amazon_books_dataset_builder import AmazonBooksConfig, Builder  # isort: skip
from amazon_books.flat import flat  # isort: skip
from amazon_books.build.table1 import table1  # isort: skip

FOLDER = Path(releases.__file__).parent


class AmazonBooksTest(tfds.testing.DatasetBuilderTestCase):  # type: ignore[misc]  # TFDS is untyped
    """What TFDS asks of every dataset."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = [Builder.builder_configs["final"]]  # noqa: RUF012
    SPLITS = {"train": 12}  # noqa: RUF012


class AmazonBooksRawTest(tfds.testing.DatasetBuilderTestCase):  # type: ignore[misc]
    """The same for the config that drops nothing."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = [Builder.builder_configs["raw"]]  # noqa: RUF012
    SPLITS = {"train": 13}  # noqa: RUF012


def build(data_dir: Path, manual_dir: Path | None, config: Any = "final", **options: Any) -> Builder:
    builder = Builder(data_dir=data_dir, config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **options))
    return builder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    folder = tmp_path_factory.mktemp("built")
    return build(folder / "data", files.write_tiny(folder / "raw"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses at which nothing answers, and no patience."""
    monkeypatch.setattr(releases, "STANFORD", "http://127.0.0.1:9/a")
    monkeypatch.setattr(releases, "LAB", "http://127.0.0.1:9/b")
    monkeypatch.setattr(download.fetch, "__defaults__", (0.0,))


def test_dummy_data_is_what_the_helper_writes(tmp_path: Path) -> None:
    files.write_tiny(tmp_path)
    for path in sorted(tmp_path.rglob("*.gz")):
        assert (FOLDER / "dummy_data" / path.relative_to(tmp_path)).read_bytes() == path.read_bytes()


def test_metadata_survive_on_disk(built: Builder) -> None:
    metadata = tfds.builder_from_directory(built.data_dir).info.metadata
    assert {step["name"]: step["interactions"] for step in metadata["steps"]} == {
        name: counts[2] for name, counts in files.STEPS.items()
    }
    assert metadata["synthetic"] is True
    assert len(metadata["fingerprint"]) == 64
    for source in metadata["sources"].values():
        lines = source["lines"]
        assert lines["read"] == lines["kept"] + lines["skipped"] + sum(lines["rejected"].values())
    assert "from SYNTHETIC data" in metadata["report"]
    assert "Final (paper)" not in metadata["report"]
    assert "Final (paper)" in table1({**metadata, "synthetic": False})


def test_two_builds_agree(built: Builder, tmp_path: Path) -> None:
    again = build(tmp_path / "data", files.write_tiny(tmp_path / "raw"))
    for key in ("fingerprint", "content_sha256", "steps", "choices"):
        assert again.info.metadata[key] == built.info.metadata[key]
    pairs = zip(*(tfds.as_numpy(builder.as_dataset(split="train")) for builder in (built, again)), strict=True)
    for one, other in pairs:
        assert one["user_id"] == other["user_id"]
        for name, column in one["interactions"].items():
            np.testing.assert_array_equal(column, other["interactions"][name])


def test_views(built: Builder) -> None:
    users = built.as_dataset(split="train")
    rows = list(tfds.as_numpy(flat(users)))
    assert len(rows) == files.STEPS["5/5-core (fixpoint)"][2]
    assert all(np.ndim(value) == 0 for value in rows[0].values())
    assert {row["user_id"].decode() for row in rows} == set(files.USERS)
    frame = tfds.as_dataframe(users, built.info)
    assert len(frame) == 12
    assert "interactions/asin" in frame.columns


def test_croissant_is_valid_and_names_what_was_read(built: Builder) -> None:
    import mlcroissant

    path = Path(built.data_dir) / "croissant.json"
    dataset = mlcroissant.Dataset(path)
    assert not dataset.metadata.issues.errors
    sums = {file.sha256 for file in dataset.metadata.distribution}
    assert sums == {source["sha256"] for source in built.info.metadata["sources"].values()}


def test_without_a_config_only_what_needs_no_file_is_built() -> None:
    assert [config.name for config in Builder.BUILDER_CONFIGS] == ["synthetic"]
    assert Builder(config=None).builder_config.synthetic_scale == 0.02
    assert list(Builder.builder_configs) == ["synthetic", "final", "raw", "digital_music"]


def test_config_of_ones_own(tmp_path: Path) -> None:
    text = '{"name": "by_items", "top_by": "items", "top_categories": 3, "required_fields": [], "min_user": 2}'
    builder = build(tmp_path / "data", files.write_tiny(tmp_path / "raw"), AmazonBooksConfig(**json.loads(text)))
    assert builder.info.metadata["steps"][-1]["categories"] == 3
    assert builder.info.metadata["choices"]["top_by"] == "items"
    with pytest.raises(ValueError, match="`top_by`"):
        AmazonBooksConfig(name="wrong", top_by="price")


def test_generated_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = AmazonBooksConfig(name="small", synthetic_scale=0.002, top_categories=None, min_user=2, min_item=2)
    metadata = build(tmp_path / "data", files.write_tiny(tmp_path / "raw"), config).info.metadata
    assert "Config small reads no file; --config final reads those in the manual folder." in capsys.readouterr().out
    assert metadata["synthetic"] is True
    assert metadata["generator"]
    assert metadata["steps"][-1]["interactions"] > 1000


def test_a_missing_file_is_one_line_with_name_folder_and_address(offline: None, tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    (raw / "2018" / "meta_Books.json.gz").unlink()
    with pytest.raises(FileNotFoundError) as error:
        build(tmp_path / "data", raw)
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "2018/meta_Books.json.gz is missing",
        str(raw),
        "http://127.0.0.1:9/b/amazon_v2/",
        "Connection refused",
    ):
        assert part in message
    with pytest.raises(FileNotFoundError, match="no manual folder was given"):
        build(tmp_path / "data", tmp_path / "no such folder")


def test_changed_sources_and_choices_are_not_reused(tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    build(tmp_path / "data", raw)
    build(tmp_path / "data", raw)
    reviews = raw / "2014" / "reviews_Books_5.json.gz"
    os.utime(reviews, (1, 1))
    build(tmp_path / "data", raw)  # another time, the same bytes
    files.write_lines(reviews, files.reviews()[1:])
    with pytest.raises(
        ValueError, match=r"cannot be reused: .*reviews_Books_5.json.gz is not the file that it was made"
    ):
        build(tmp_path / "data", raw)
    with pytest.raises(ValueError, match="is not the file that it was made from"):
        build(tmp_path / "data", None)
    overwritten = build(tmp_path / "data", raw, download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS)
    assert overwritten.info.metadata["steps"][0]["interactions"] == 163
    for top_by in ("interactions", "items"):
        config = AmazonBooksConfig(name="mine", top_by=top_by)
        if top_by == "items":
            with pytest.raises(ValueError, match="cannot be reused: it was made with other values of top_by"):
                build(tmp_path / "data", raw, config)
        else:
            build(tmp_path / "data", raw, config)


def test_a_half_copied_dataset_is_not_taken_for_finished(tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    folder = Path(build(tmp_path / "data", raw).data_dir)
    (folder / "dataset_info.json").unlink()
    with pytest.raises(ValueError, match="cannot be reused: it is not complete"):
        build(tmp_path / "data", raw)


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    code = (
        "import sys, time, tfdat.backend, tensorflow_datasets as tfds\n"
        "from amazon_books.amazon_books_dataset_builder import Builder\n"
        "examples = Builder._generate_examples\n"
        "def slow(self, prepared):\n"
        "    for number, example in enumerate(examples(self, prepared)):\n"
        "        if number == 3: print('WRITING', flush=True); time.sleep(60)\n"
        "        yield example\n"
        "Builder._generate_examples = slow\n"
        "options = tfds.download.DownloadConfig(manual_dir=sys.argv[2])\n"
        "Builder(data_dir=sys.argv[1], config='final').download_and_prepare(download_config=options)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "data"), str(raw)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        assert any(b"WRITING" in line for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    assert not list((tmp_path / "data").rglob("dataset_info.json"))
    assert len(list(build(tmp_path / "data", raw).as_dataset(split="train"))) == 12


def test_a_full_disk_is_one_line_with_the_place(tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"amazon_books/final/1.0.0 could not be written: File too large\. Make room"):
            build(tmp_path / "data", raw)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "data").rglob("dataset_info.json"))
    assert not list((tmp_path / "data").rglob("*incomplete*"))


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves files from a folder, with ranges; `breaks` requests end after half of what they announce."""

    folder: Path
    requests: list[tuple[str, str | None]]
    breaks = 0
    tags = True

    def do_GET(self) -> None:
        cls = type(self)
        cls.requests.append((self.path, self.headers.get("Range")))
        path = cls.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        tag = f'"{hash(data)}"'
        start = 0
        if (asked := self.headers.get("Range")) and self.headers.get("If-Range") == tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
        else:
            self.send_response(200)
        body = data[start:]
        self.send_header("Content-Length", str(len(body)))
        if cls.tags:
            self.send_header("ETag", tag)
        self.end_headers()
        if cls.breaks:
            cls.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Handler]]:
    """A loopback server of the four files, at the addresses that the dataset asks."""
    handler = type("Handler", (_Handler,), {"folder": tmp_path / "www", "requests": [], "breaks": 0, "tags": True})
    raw = files.write_tiny(tmp_path / "www")
    for source, target in {
        "2014": "stanford",
        "2018": "lab/amazon_v2/metaFiles2",
        "2023": "lab/amazon_2023/raw/meta_categories",
    }.items():
        (raw / target).parent.mkdir(parents=True, exist_ok=True)
        (raw / source).rename(raw / target)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(releases, "STANFORD", f"{base}/stanford")
        monkeypatch.setattr(releases, "LAB", f"{base}/lab")
        monkeypatch.setattr(download.fetch, "__defaults__", (0.0,))
        yield handler
        running.shutdown()


def test_absent_files_are_downloaded_once(server: type[_Handler], tmp_path: Path) -> None:
    server.breaks = 2
    builder = build(tmp_path / "data", None)
    assert builder.info.metadata["steps"][-1]["interactions"] == 132
    assert sum(asked is not None for _, asked in server.requests) == 2
    assert len(server.requests) == 6
    build(tmp_path / "data", None, config="raw")
    assert len(server.requests) == 6
    assert not list((tmp_path / "data").rglob("*.part*"))


def test_a_mirror_helps_out(server: type[_Handler], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (server.folder / "lab" / "amazon").mkdir()
    (server.folder / "stanford").rename(server.folder / "lab" / "amazon" / "categoryFiles")
    build(tmp_path / "data", None, config="raw")
    assert "the server answers 404" in capsys.readouterr().out


@pytest.mark.parametrize("tags", [True, False])
def test_a_download_goes_on_where_it_stopped(server: type[_Handler], tmp_path: Path, tags: bool) -> None:
    (server.folder / "big").write_bytes(np.random.default_rng(0).bytes(3 << 20))
    url, target = releases.STANFORD.replace("stanford", "big"), tmp_path / "deep" / "target"
    server.tags = tags
    server.breaks = 3
    download.fetch(url, target)
    assert target.read_bytes() == (server.folder / "big").read_bytes()
    assert sorted(path.name for path in target.parent.iterdir()) == ["target"]
    starts = [asked for _, asked in server.requests]
    assert starts == ([None, "bytes=1572864-", "bytes=2359296-", "bytes=2752512-"] if tags else [None] * 4)


def test_a_file_that_changed_is_not_continued(server: type[_Handler], tmp_path: Path) -> None:
    (server.folder / "big").write_bytes(b"a" * 1000)
    url, target = releases.STANFORD.replace("stanford", "big"), tmp_path / "target"
    server.breaks = 1_000
    with pytest.raises(OSError, match=rf"{url}: the connection ended after .* of 1,000 bytes"):
        download.fetch(url, target)
    assert not target.exists()
    server.breaks = 0
    (server.folder / "big").write_bytes(b"b" * 1000)
    download.fetch(url, target)
    assert target.read_bytes() == b"b" * 1000


def test_refusals_are_one_line(server: type[_Handler], tmp_path: Path) -> None:
    url = releases.STANFORD.replace("stanford", "absent")
    with pytest.raises(OSError, match=rf"^{url}: the server answers 404 Not Found$"):
        download.fetch(url, tmp_path / "target")


def test_command_line(tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    command = [sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build", str(FOLDER)]
    options = ["--data_dir", str(tmp_path / "data"), "--manual_dir", str(raw), "--config"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    config = '{"name": "mine", "core": "off", "min_user": 2}'
    run = functools.partial(subprocess.run, env=environment, capture_output=True, text=True, check=False)
    result = run([*command, *options, config])
    assert result.returncode == 0, result.stderr
    assert "Table 1, from SYNTHETIC data" in result.stdout
    metadata = json.loads((tmp_path / "data" / "amazon_books" / "mine" / "1.0.0" / "metadata.json").read_text())
    assert metadata["steps"][-1]["interactions"] == 135
    assert dataclasses.asdict(AmazonBooksConfig(name="mine", core="off", min_user=2))["core"] == "off"
