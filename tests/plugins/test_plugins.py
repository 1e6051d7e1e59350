"""Plugins cannot break zoo: twenty-odd kinds of broken ones are installed at once, and life goes on.

Each is a small wheel made here and installed by pip into a folder of its own that is put on the path; nothing
is ever installed into the environment that runs the tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from zoo import registry

GOOD = """
    def {name}(*, input_shape=(28, 28, 1), num_classes=10):
        '''A line.'''
        import keras
        return keras.Sequential([
            keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes, dtype="float32")
        ])
"""
RETURNS = """
    def {name}(*, input_shape=(28, 28, 1), num_classes=10):
        import keras
        {body}
"""


@dataclass(frozen=True)
class Broken:
    """A kind of broken plugin: its code, its entry point, and what asking for its model must say."""

    kind: str
    code: str
    words: str
    entry_point: str = "{name} = zoo_{name}:{name}"
    asked: str = ""  # the name to ask for, if it is not the kind

    @property
    def distribution(self) -> str:
        return f"zoo-{self.kind.replace('_', '-')}"


def _when_imported(kind: str, statement: str, words: str) -> Broken:
    return Broken(kind, statement, words)


def _when_built(kind: str, body: str, words: str) -> Broken:
    return Broken(kind, RETURNS.replace("{body}", body), words)


BROKEN = [
    _when_imported("raises", "raise RuntimeError('no luck today')", "RuntimeError: no luck today"),
    _when_imported("exits", "import sys; sys.exit(3)", "SystemExit: 3"),
    _when_imported("interrupts", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    _when_imported("needs_more", "import a_library_that_nobody_has", "a_library_that_nobody_has"),
    _when_imported("bad_syntax", "def broken(:", "SyntaxError"),
    _when_imported("recurses", "def f(): return f()\nf()", "RecursionError"),
    _when_imported("generator_exit", "raise GeneratorExit('odd')", "GeneratorExit: odd"),
    _when_imported("bare_base", "class Odd(BaseException): pass\nraise Odd('very')", "Odd: very"),
    _when_imported("bad_str", "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute", "Mute"),
    _when_imported("not_callable", "not_callable = 7", "is a int, not a builder function"),
    _when_imported("absent", "something_else = 1", "AttributeError"),
    _when_imported(
        "no_arguments", "def no_arguments(): pass", "lacks the keyword argument input_shape and num_classes"
    ),
    _when_imported("positional", "def positional(input_shape, num_classes): pass", "lacks the keyword argument"),
    _when_built("returns_nothing", "pass", "returned NoneType, not a keras.Model"),
    _when_built("returns_layer", "return keras.layers.Dense(num_classes)", "returned Dense, not a keras.Model"),
    _when_built("raises_late", "raise OSError('disk on fire')", "OSError: disk on fire"),
    _when_built("exits_late", "raise SystemExit(0)", "SystemExit: 0"),
    _when_built("interrupts_late", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    _when_built("recurses_late", "return recurses_late()", "RecursionError"),
    _when_built(
        "wrong_output",
        "return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(3)])",
        "must end in float32 logits of shape (None, 10)",
    ),
    _when_built(
        "half_logits",
        "return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), "
        "keras.layers.Dense(num_classes, dtype='float16')])",
        "must end in float32 logits",
    ),
    Broken("no_module", "", "a module that is not there", entry_point="no_module = zoo_elsewhere:no_module"),
    Broken("no_colon", GOOD, "is not of the form module:builder", entry_point="no_colon = zoo_no_colon"),
    Broken("bad_name", GOOD, "is not a valid model name", "bad/name! = zoo_bad_name:bad_name", asked="bad/name!"),
    Broken("bad_value", GOOD, "is not of the form module:builder", entry_point="bad_value = !!:??"),
]
CHATTY = (
    """
    import os, sys, warnings
    print("hello from a plugin")
    os.write(1, b"hello from below\\n")
    warnings.simplefilter("error")
    import keras
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_floatx("float16")
    os.chdir("/")
    open(os.environ["ZOO_TEST_TRACE"], "a").write("{name} was imported\\n")
"""
    + GOOD
)


LAYERED = """
    import keras
    import zoo

    @keras.saving.register_keras_serializable(package="zoo_layered")
    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2

    @zoo.register()
    def layered(*, input_shape=(28, 28, 1), num_classes=10, activation=keras.activations.relu, **options):
        return keras.Sequential([
            keras.Input(input_shape), Doubled(), keras.layers.Flatten(),
            keras.layers.Dense(num_classes, dtype="float32"),
        ])
"""


def _wheel(folder: Path, distribution: str, files: dict[str, str], entry_points: str, requires: str = "") -> Path:
    """Make a wheel by hand, so that it may be as broken as it likes."""
    stem = f"{distribution.replace('-', '_')}-0.2"
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.2\n{requires}"
    contents = {
        **files,
        f"{stem}.dist-info/METADATA": metadata,
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/entry_points.txt": f"[zoo.models]\n{entry_points}\n",
    }
    rows = []
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
            digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={digest},{len(text.encode())}")
        archive.writestr(f"{stem}.dist-info/RECORD", "\n".join([*rows, f"{stem}.dist-info/RECORD,,"]) + "\n")
    return path


def _plugin(
    folder: Path, name: str, code: str, entry_point: str = "{name} = zoo_{name}:{name}", **options: str
) -> Path:
    source = dedent(code).replace("{name}", name)
    distribution = f"zoo-{name.replace('_', '-')}"
    return _wheel(folder, distribution, {f"zoo_{name}.py": source}, entry_point.replace("{name}", name), **options)


def _install(site: Path, *wheels: Path) -> None:
    """Let pip install wheels into a folder of their own."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*command, "--target", str(site), *map(str, wheels)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of broken plugin, a chatty one, two that share a name, and corrupt metadata."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    _install(
        site,
        *[_plugin(wheels, broken.kind, broken.code, broken.entry_point) for broken in BROKEN],
        _plugin(wheels, "chatty", CHATTY),
        _plugin(wheels, "first", GOOD.replace("{name}", "twin"), "twin = zoo_first:twin"),
        _plugin(wheels, "second", GOOD.replace("{name}", "twin"), "twin = zoo_second:twin"),
        _plugin(wheels, "usurper", GOOD.replace("{name}", "lenet5"), "lenet5 = zoo_usurper:lenet5"),
        _plugin(wheels, "future", GOOD, requires="Requires-Dist: cnn-zoo>=99\n"),
        _plugin(wheels, "layered", LAYERED),
        _plugin(wheels, "mangled", GOOD, "first_rate = mangled"),
        _plugin(wheels, "rated", GOOD.replace("{name}", "first_rate"), "first_rate = zoo_rated:first_rate"),
        _plugin(wheels, "hangs", "import time\ntime.sleep(600)"),
        _plugin(wheels, "crashes", "import os\nos.abort()"),
    )
    garbled = site / "zoo_garbled-0.2.dist-info"
    garbled.mkdir()
    (garbled / "METADATA").write_bytes(b"\xff\xfe\x00garbage")
    (garbled / "entry_points.txt").write_bytes(b"[zoo.models]\n\xff\xfe = \xc3\x28\n")
    unsectioned = site / "zoo_unsectioned-0.2.dist-info"
    unsectioned.mkdir()
    (unsectioned / "entry_points.txt").write_text("lost = zoo_lost:lost\n[zoo.models\n= nothing\n")
    nameless = site / "nameless.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[zoo.models]\nno_name = zoo_no_name:no_name\n")
    return site


@pytest.fixture
def with_plugins(broken_site: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command with all those plugins installed."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "zoo", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={
                **os.environ,
                "PYTHONPATH": str(broken_site),
                "ZOO_TEST_TRACE": str(tmp_path / "trace"),
                **environment,
            },
        )

    return run


def test_list_goes_on_and_imports_no_plugin(with_plugins, tmp_path):
    """Exit 0; every usable name is there; the plugin that leaves a trace when imported has left none."""
    result = with_plugins("list", "--json")
    assert result.returncode == 0, result.stderr
    names = {row["name"] for row in json.loads(result.stdout)}
    assert names >= {"lenet5", "chatty", "raises", "zoo-first/twin", "zoo-second/twin", "zoo-usurper/lenet5"}
    assert not names & {"twin", "bad/name!"}
    assert not (tmp_path / "trace").exists()


def test_help_goes_on(with_plugins):
    """Nothing about a plugin is needed to say what the commands are."""
    assert with_plugins("--help").returncode == 0


def test_training_a_built_in_goes_on(with_plugins, tmp_path):
    """lenet5 is zoo's own, whoever else claims the name; its report too, although scikit-learn trips over others."""
    result = with_plugins("train", "lenet5", "--dataset", "digits", "--limit", "500", "--epochs", "1", "--json")
    assert result.returncode == 0, result.stderr
    assert "No report" not in result.stderr
    assert json.loads(result.stdout)["environment"]["model_origin"] == "cnn-zoo"
    assert not (tmp_path / "trace").exists()


def test_plugins_lists_all_with_their_state(with_plugins):
    """Without importing: shadowed, duplicate, for another zoo, malformed, unreadable."""
    result = with_plugins("plugins", "--json")
    assert result.returncode == 0, result.stderr
    rows = {(row["distribution"], row["model"]): row for row in json.loads(result.stdout)}
    assert rows["zoo-usurper", "lenet5"]["status"] == "shadowed"
    assert rows["zoo-first", "twin"]["status"] == rows["zoo-second", "twin"]["status"] == "duplicate"
    assert rows["zoo-future", "future"]["status"] == "needs another zoo"
    assert "cnn-zoo>=99" in rows["zoo-future", "future"]["reason"]
    assert rows["zoo-bad-value", "bad_value"]["status"] == "broken"
    assert rows["zoo-raises", "raises"]["status"] == "not checked"
    assert "unreadable metadata" in rows["zoo-garbled", ""]["reason"]
    assert rows["zoo-raises", "raises"]["version"] == "0.2"


def test_check_imports_each_in_a_process_of_its_own(with_plugins):
    """A crash, a hang and every exception become a row with a reason; the good ones are ok."""
    result = with_plugins("plugins", "--check", "--timeout", "30", "--json")
    assert result.returncode == 0, result.stderr
    rows = {row["model"]: row for row in json.loads(result.stdout)}
    assert rows["chatty"]["status"] == "ok"
    assert "did not end within 30 s" in rows["hangs"]["reason"]
    assert "ended the process with exit code -6" in rows["crashes"]["reason"]
    for broken in BROKEN:
        if "late" not in broken.kind and broken.code.strip() and "keras.Model" not in broken.words:
            row = rows[broken.asked or broken.kind]
            assert row["status"] in ("broken", "ok" if "logits" in broken.words else "broken"), row
    assert "no luck today" in rows["raises"]["reason"]


@pytest.fixture(scope="module")
def answers(broken_site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, stdout and stderr of asking for every broken model, one after the other in one process."""
    script = (
        "import json, sys; from click.testing import CliRunner; from zoo.cli import main\n"
        "results = {name: CliRunner().invoke(main, ['show', name]) for name in sys.argv[1:]}\n"
        "print(json.dumps({name: (r.exit_code, r.stdout, r.stderr) for name, r in results.items()}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *[broken.asked or broken.kind for broken in BROKEN], "mlp"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path_factory.mktemp("work"),
        env={**os.environ, "PYTHONPATH": str(broken_site)},
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.kind)
def test_asking_for_a_broken_model_names_the_culprit(broken, answers):
    """Exit 1, one line, the distribution with its version and the cause; no traceback, no empty suggestion."""
    exit_code, stdout, stderr = answers[broken.asked or broken.kind]
    assert exit_code == 1, stdout + stderr
    (error,) = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    assert f"{broken.distribution} 0.2" in error
    assert broken.words in error
    assert "Traceback" not in stderr
    assert "Did you mean" not in error


def test_all_of_them_together_leave_the_process_healthy(answers):
    """After every broken plugin has had its turn, a built-in is built in the same process."""
    assert answers["mlp"][0] == 0


@pytest.mark.parametrize("kind", ["exits", "interrupts_late"])
def test_broken_model_ends_the_command_with_one(kind, with_plugins):
    """The same from the shell, where an exit or an interruption could end the process some other way."""
    result = with_plugins("show", kind)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"'{kind}' is provided by zoo-{kind.replace('_', '-')} 0.2" in result.stderr


def test_corrupt_metadata_is_named_when_a_model_is_not_found(with_plugins):
    """A name that nobody has might belong to the distribution that could not be read: say so."""
    result = with_plugins("show", "garbled")
    assert result.returncode == 1
    assert "Not known are the models of zoo-garbled in" in result.stderr
    assert "UnicodeDecodeError" in result.stderr


def test_chatty_plugin_works_and_leaves_no_mess(with_plugins, broken_site, tmp_path, python):
    """What it prints does not reach the JSON; the settings that it changes are as before."""
    result = with_plugins("show", "chatty", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["origin"] == {
        "distribution": "zoo-chatty",
        "version": "0.2",
        "entry_point": "zoo_chatty:chatty",
    }
    assert "hello from a plugin" in result.stderr
    assert "hello from below" in result.stderr
    assert (tmp_path / "trace").read_text() == "chatty was imported\n"
    code = (
        "import os, warnings, keras, zoo;"
        "config = keras.config;"
        "state = lambda: (config.dtype_policy().name, config.floatx(), os.getcwd(), list(warnings.filters));"
        "before = state(); zoo.create('chatty'); assert state() == before, (state(), before)"
    )
    checked = python("-c", code, PYTHONPATH=str(broken_site), ZOO_TEST_TRACE=str(tmp_path / "trace"))
    assert checked.returncode == 0, checked.stderr


def test_shared_name_is_an_error_that_lists_both(with_plugins):
    """The bare name is ambiguous; each full name works in every command."""
    result = with_plugins("show", "twin")
    assert result.returncode == 1
    assert "Several plugins provide 'twin'. Ask for one of them: 'zoo-first/twin', 'zoo-second/twin'." in result.stderr
    trained = with_plugins("train", "zoo-second/twin", "--dataset", "digits", "--epochs", "1", "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["model"] == "zoo-second/twin"
    assert "cudart_stub" not in trained.stderr  # TensorFlow's start-up notes stay away for plugins too
    assert "zoo-second-twin" in Path(json.loads(trained.stdout)["run"]).name


def test_shadowed_model_is_reached_by_its_full_name(with_plugins):
    """Built-ins win; the plugin's model is still there."""
    document = json.loads(with_plugins("show", "Zoo_Usurper/lenet5", "--json").stdout)
    assert document["origin"]["distribution"] == "zoo-usurper"
    assert document["anatomy"]["params"] == 7850


def test_plugins_can_be_restricted(with_plugins):
    """ZOO_PLUGINS=none admits nothing; a list admits those."""
    assert "twin" not in with_plugins("list", ZOO_PLUGINS="none").stdout
    names = {
        row["name"] for row in json.loads(with_plugins("list", "--json", ZOO_PLUGINS="zoo_first, zoo-chatty").stdout)
    }
    assert names == {*registry.built_ins(), "twin", "chatty"}


def test_same_distribution_met_twice_counts_once(broken_site, tmp_path, python):
    """An editable install beside stale metadata is not two plugins: the first on the path is the one that counts."""
    stale = tmp_path / "stale"
    (stale / "zoo_first-0.1.dist-info").mkdir(parents=True)
    (stale / "zoo_first-0.1.dist-info" / "METADATA").write_text("Name: zoo-first\nVersion: 0.1\n")
    (stale / "zoo_first-0.1.dist-info" / "entry_points.txt").write_text("[zoo.models]\ntwin = gone:twin\n")
    code = (
        "from zoo.plugins.discovery import installed;"
        "print([(p.version, p.value) for p in installed().named('zoo-first/twin')])"
    )
    result = python("-c", code, PYTHONPATH=os.pathsep.join([str(broken_site), str(stale)]))
    assert result.stdout.strip() == "[('0.2', 'zoo_first:twin')]"


def test_thousand_plugins_are_listed_in_one_walk(tmp_path, python):
    """1,000 entry points in 1,000 distributions: all listed, and no METADATA is parsed to do it."""
    for number in range(1000):
        folder = tmp_path / "site" / f"zoo_p{number}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "entry_points.txt").write_text(f"[zoo.models]\nmodel{number} = zoo_p{number}:model\n")
    code = (
        "import email.parser, zoo;"
        "email.parser.Parser.parsestr = None;"
        "names = zoo.list_models('model*'); print(len(names), names[:3])"
    )
    result = python("-c", code, PYTHONPATH=str(tmp_path / "site"))
    assert result.stdout.strip() == "1000 ['model0', 'model1', 'model2']", result.stderr


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_a_real_ctrl_c_during_an_import_is_the_users(tmp_path):
    """A KeyboardInterrupt from the keys ends the command with 130; it is not taken for the plugin's fault."""
    import signal
    import time

    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    _install(site, _plugin(wheels, "slow", "import os, time\nopen(os.environ['ZOO_TEST_TRACE'], 'w')\ntime.sleep(60)"))
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "show", "slow"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(site), "ZOO_TEST_TRACE": str(tmp_path / "trace")},
    )
    while not (tmp_path / "trace").exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.endswith("Interrupted.\n")


@pytest.mark.usefixtures("registry_undone")
def test_plugin_module_imported_by_hand_does_not_clash(broken_site, python):
    """``import zoo_usurper`` in its own tests is no duplicate, though its function is called lenet5."""
    code = "import zoo_usurper, zoo; zoo.register()(zoo_usurper.lenet5); print(zoo.get('lenet5').params)"
    result = python("-c", code, PYTHONPATH=str(broken_site))
    assert result.stdout.strip() == "61706", result.stderr


def test_run_of_a_plugin_with_layers_of_its_own_reads_back(with_plugins):
    """A new process asks the plugin for its model, which registers its layers; then the file is opened."""
    trained = with_plugins("train", "layered", "--dataset", "digits", "--epochs", "1", "--quiet", "--output", "run")
    assert trained.returncode == 0, trained.stderr
    evaluated = with_plugins("evaluate", "run", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    restricted = with_plugins("evaluate", "run", ZOO_PLUGINS="none")
    assert restricted.returncode == 1
    assert "zoo_layered" in restricted.stderr


def test_options_that_json_cannot_hold_are_shown_as_text(with_plugins):
    """A function as a default, and a builder that takes anything."""
    document = json.loads(with_plugins("show", "layered", "--json").stdout)
    assert "relu" in document["options"]["activation"]
    assert list(document["options"]) == ["activation"]


def test_module_imported_by_hand_is_registered_once(broken_site, python):
    """A plugin's own tests import its module; its model is still one, and guarded."""
    code = "import zoo_layered, zoo; print(zoo.list_models('*layered*'), zoo.get('layered').guard is not None)"
    assert python("-c", code, PYTHONPATH=str(broken_site)).stdout.strip() == "['layered'] True"


def test_malformed_entry_point_does_not_take_a_good_one_down(with_plugins):
    """Two plugins name a model, one of them in a way that leads nowhere: the other has it."""
    document = json.loads(with_plugins("show", "first_rate", "--json").stdout)
    assert document["origin"]["distribution"] == "zoo-rated"
