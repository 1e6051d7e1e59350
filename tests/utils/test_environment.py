"""What a record says about the machine, why there is no GPU, and what the doctor finds."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.commands import doctor
from zoo.commands.doctor import Finding, summary
from zoo.utils import environment as environment_module
from zoo.utils.environment import cpu_quota, environment, why_no_gpu

# The environment


def test_the_environment_is_json_with_the_facts() -> None:
    """Every fact is there and survives JSON."""
    facts = json.loads(json.dumps(environment(), allow_nan=False))
    assert set(facts) == {
        "zoo", "commit", "modified", "python", "tensorflow", "keras", "numpy", "platform", "machine", "cpu",
        "cpu_features", "cpus_logical", "cpus_physical", "cpus_allowed", "cpu_quota", "memory_gib",
    }  # fmt: skip
    assert facts["tensorflow"] == importlib.metadata.version("tensorflow")
    assert facts["cpu"]
    assert 0 < facts["cpus_allowed"] <= facts["cpus_logical"]
    assert facts["memory_gib"] > 0


def test_the_environment_imports_neither_tensorflow_nor_keras() -> None:
    """A record of the machine costs no import of what it records."""
    code = (
        "import sys; from zoo.utils.environment import environment; environment()\n"
        "print([m for m in ('tensorflow', 'keras', 'keras.src') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_corrupt_metadata_is_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose metadata cannot be read has no version; the record is made all the same."""

    def fail(name: str) -> str:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(importlib.metadata, "version", fail)
    assert environment()["numpy"] is None


def test_a_checkout_of_somebody_else_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed into a virtual environment inside another project, zoo does not report that project's commit."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    package = tmp_path / "venv" / "site-packages" / "zoo" / "utils"
    package.mkdir(parents=True)
    environment_module._commit.cache_clear()
    monkeypatch.setattr(environment_module, "__file__", str(package / "environment.py"))
    try:
        assert environment()["commit"] is None
    finally:
        environment_module._commit.cache_clear()


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        ("0::/a\n", {"a/cpu.max": "200000 100000\n", "cpu.max": "50000 100000\n"}, 0.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        (
            "4:cpu,cpuacct:/d\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("4:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/\n", {"memory/cpu.max": "1 1"}, None),
        ("0::/\n", {"cpu.max": "garbage"}, None),
        ("0::/\n", {"cpu.max": "100 0"}, None),
        ("nonsense\n\n", {}, None),
    ],
)
def test_the_containers_limit(tmp_path: Path, membership: str, files: dict[str, str], quota: float | None) -> None:
    """Both versions of control groups are read, the tightest limit counts, and garbage is no limit."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "membership").write_text(membership)
    assert cpu_quota(tmp_path, tmp_path / "membership") == quota


def test_no_control_groups_are_no_limit(tmp_path: Path) -> None:
    """Where there is no /proc, nothing limits."""
    assert cpu_quota(tmp_path / "none", tmp_path / "none" / "either") is None


# Why there is no GPU


@pytest.fixture
def tensorflow(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A TensorFlow with CUDA that sees no GPU, on a machine with a driver and all CUDA libraries."""
    fake = SimpleNamespace(
        config=SimpleNamespace(list_physical_devices=lambda kind: [], get_visible_devices=lambda kind: []),
        test=SimpleNamespace(is_built_with_cuda=lambda: True),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(environment_module, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(environment_module, "missing_cuda_libraries", list)
    return fake


@pytest.mark.parametrize("value", ["", "-1", " -1,0"])
def test_hidden_by_the_environment(tensorflow: Any, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """CUDA_VISIBLE_DEVICES comes first among the reasons, before any talk of drivers."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    monkeypatch.setattr(environment_module, "has_nvidia_driver", lambda: False)
    assert why_no_gpu() == f"CUDA_VISIBLE_DEVICES is '{value}', which hides every GPU; unset it."


@pytest.mark.parametrize(
    ("platform", "words"), [("linux", "built without CUDA"), ("win32", "use WSL2"), ("darwin", "for macOS")]
)
def test_built_without_cuda(tensorflow: Any, monkeypatch: pytest.MonkeyPatch, platform: str, words: str) -> None:
    """A build without CUDA is said to be one, with the remedy of its platform."""
    tensorflow.test.is_built_with_cuda = lambda: False
    monkeypatch.setattr(sys, "platform", platform)
    assert words in why_no_gpu()


def test_no_driver(tensorflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a driver the missing libraries do not matter yet."""
    monkeypatch.setattr(environment_module, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(environment_module, "missing_cuda_libraries", lambda: ["libcudnn.so.9"])
    assert why_no_gpu().startswith("no NVIDIA driver is loaded")


def test_no_cuda_libraries(tensorflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a driver, the missing libraries are named, and how to get them."""
    monkeypatch.setattr(environment_module, "missing_cuda_libraries", lambda: ["libcudnn.so.9"])
    assert "libcudnn.so.9" in why_no_gpu()
    assert "pip install 'cnn-zoo[gpu]'" in why_no_gpu()


def test_a_number_that_does_not_exist(tensorflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES=7 on a machine with one GPU is named when all else is there."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert "CUDA_VISIBLE_DEVICES is '7', which names no GPU" in why_no_gpu()


def test_nothing_to_blame(tensorflow: Any) -> None:
    """When all is there, the sentence says where to look next."""
    assert "TF_CPP_MIN_LOG_LEVEL=0" in why_no_gpu()


def test_a_gpu_that_is_seen_needs_no_reason(tensorflow: Any) -> None:
    """With a visible GPU there is nothing to say; one hidden by a program is told."""
    tensorflow.config.list_physical_devices = lambda kind: ["gpu"]
    assert "set_visible_devices" in why_no_gpu()
    tensorflow.config.get_visible_devices = lambda kind: ["gpu"]
    assert why_no_gpu() == ""


# The doctor


def run(check: Any) -> dict[str, Finding]:
    return {finding.topic: finding for finding in check()}


def test_every_check_reports_on_this_machine() -> None:
    """Each topic is found, as JSON, and no check fails here."""
    findings = doctor.examine()
    json.dumps([finding.to_dict() for finding in findings])
    topics = {finding.topic for finding in findings}
    assert {"Python", "keras", "tensorflow", "the name zoo", "Keras backend", "CPU", "oneDNN"} <= topics
    assert {"bfloat16", "MNIST", "disk, cache", "disk, current folder", "pip"} <= topics
    assert not [finding for finding in findings if "could not be examined" in finding.value]


def test_a_failing_check_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that raises half-way keeps what it found, adds what went wrong, and stops nothing else."""

    def broken() -> Iterator[Finding]:
        yield Finding("first", "ok", "fine")
        raise RuntimeError("boom\x1b[0m")

    monkeypatch.setattr(doctor, "CHECKS", {"disk": broken, "last": lambda: iter([Finding("last", "ok", "")])})
    findings = doctor.examine()
    assert [finding.topic for finding in findings] == ["first", "disk", "last"]
    assert findings[1].value == "could not be examined (RuntimeError: boom?[0m)."


def test_the_summary_says_first_what_is_wrong() -> None:
    """Problems stand before warnings, each with its remedy; notes and what is well are left out."""
    findings = [
        Finding("a", "ok", "fine"),
        Finding("b", "warning", "slow.", "Do this."),
        Finding("c", "note", "by the way"),
        Finding("d", "problem", "broken.", "Do that."),
    ]
    assert summary(findings) == "1 problem:\n  d: broken. Do that.\n1 warning:\n  b: slow. Do this."
    assert summary(findings[:1]) == "Nothing is wrong: zoo can train here."


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("3.15.1", "ok"),
        ("3.16", "ok"),
        ("4.0.0.dev1", "ok"),
        ("3.15.0", "problem"),
        ("3.9", "problem"),
        (None, "problem"),
    ],
)
def test_an_old_keras_is_a_problem(monkeypatch: pytest.MonkeyPatch, version: str | None, status: str) -> None:
    """Keras before 3.15.1 loads malicious files; the finding says so, and how to upgrade."""
    monkeypatch.setattr(doctor, "version", lambda name: version)
    finding = run(doctor._versions)["keras"]
    assert finding.status == status
    assert ('pip install --upgrade "keras>=3.15.1"' in finding.advice) == (status == "problem")


def test_another_backend_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file or the variable that chooses the backend is named, and the variable wins."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    settings = tmp_path / "keras.json"
    settings.write_text('{"backend": "jax", "image_data_format": "channels_first"}')
    findings = run(doctor._keras_settings)
    assert str(settings) in findings["Keras backend"].advice
    assert findings["Keras channel order"].status == "problem"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert run(doctor._keras_settings)["Keras backend"].value.startswith("'torch' by KERAS_BACKEND")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert run(doctor._keras_settings)["Keras backend"].status == "ok"


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"'])
def test_a_broken_keras_json_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A settings file that is no JSON object does not stop the doctor."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(text)
    assert run(doctor._keras_settings)["Keras backend"].status == "ok"


def distribution(folder: Path, name: str, files: dict[str, bytes]) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    for file, content in files.items():
        (info / file).write_bytes(content)


@pytest.mark.parametrize("file", ["top_level.txt", "RECORD"])
def test_another_package_named_zoo_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """A distribution that installs a package `zoo` is named, corrupt neighbours are passed over."""
    content = {"top_level.txt": b"zoo\n", "RECORD": b"zoo/__init__.py,sha256=x,3\n"}[file]
    distribution(tmp_path, "aquarium", {"METADATA": b"Name: aquarium\n", file: content})
    distribution(tmp_path, "corrupt", {"METADATA": b"\xff\xfe\x00", "RECORD": b"\xff\xff"})
    distribution(tmp_path, "nameless", {"RECORD": b"zoo/__init__.py,,\n"})
    distribution(tmp_path, "innocent", {"METADATA": b"Name: innocent\n", "RECORD": b"a/zoo/__init__.py,,\n"})
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = run(doctor._name)["the name zoo"]
    assert finding.status == "problem"
    assert finding.value == "also installed by aquarium."


def test_an_import_of_another_zoo_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When `import zoo` finds another folder, both are named."""
    import zoo

    monkeypatch.setattr(zoo, "__file__", str(tmp_path / "zoo" / "__init__.py"))
    finding = run(doctor._name)["the name zoo"]
    assert finding.status == "problem"
    assert str(tmp_path / "zoo") in finding.value


def test_no_source_of_mnist_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source's answer is in the finding; the first that is available is the one named."""
    import zoo.data

    sources = [SimpleNamespace(source="cache", available=False, detail="empty")]
    monkeypatch.setattr(zoo.data, "where", lambda name: sources)
    assert run(doctor._mnist)["MNIST"].value == "no source can give it. cache: empty."
    sources += [SimpleNamespace(source="mirror", available=True, detail="pip")]
    assert run(doctor._mnist)["MNIST"].value == "comes from mirror (pip)"


def test_few_threads_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """OMP_NUM_THREADS below the processors allowed is a warning, a container's quota too."""
    monkeypatch.setattr(doctor, "cpus_allowed", lambda: 8)
    monkeypatch.setattr(doctor, "cpu_quota", lambda: 2.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    findings = run(doctor._threads)
    assert findings["OMP_NUM_THREADS"].status == "warning"
    assert "TF_NUM_INTRAOP_THREADS=2" in findings["CPU quota"].advice


def test_little_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is noticed for a cache folder that does not even exist yet."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**28))
    assert run(doctor._disk)["disk, cache"].value.startswith("0.25 GiB free")


@pytest.mark.parametrize(("features", "status"), [(["avx2"], "note"), (["avx512f", "amx_bf16"], "ok")])
def test_bfloat16_pays_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, features: list[str], status: str
) -> None:
    """AVX512_BF16 or AMX make it worth while; without them the doctor says that it is not."""
    monkeypatch.setattr(doctor, "environment", lambda: {"cpu_features": features})
    assert run(doctor._bfloat16)["bfloat16"].status == status


@pytest.mark.parametrize(
    ("enabled", "asked", "status"),
    [(True, None, "ok"), (True, "1", "ok"), (False, "0", "warning"), (False, None, "warning")],
)
def test_onednn_off_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, enabled: bool, asked: str | None, status: str
) -> None:
    """What TensorFlow resolved counts; the advice depends on who turned it off."""
    from tensorflow.python.util import _pywrap_util_port

    monkeypatch.setattr(_pywrap_util_port, "IsMklEnabled", lambda: enabled)
    monkeypatch.setattr(doctor, "environment", lambda: {"machine": "x86_64"})
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if asked is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    finding = run(doctor._onednn)["oneDNN"]
    assert finding.status == status
    assert ("TF_ENABLE_ONEDNN_OPTS=1" in finding.advice) == (not enabled and asked is None)
