# SPDX-License-Identifier: MIT
"""What else names options, metrics and fields: the manual page, completions, README and the files in scripts/. No root."""
import configparser
import json
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", ".."))
BINARY = os.path.abspath(os.environ.get("REBPF", os.path.join(TOP, "build", "rebpf")))
DOCS = os.path.join(TOP, "build", "docs")
SHIPPED = ("rebpf.service", "kubernetes.yaml", "deb/default", "vector.toml", "fluent-bit.conf", "fluent-bit-parsers.conf",
           "otel-collector.yaml")


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False, cwd=TOP)
    return done.returncode, done.stdout.decode()


def need(tool):
    if not shutil.which(tool):
        pytest.skip("no " + tool)
    return tool


@pytest.fixture(scope="module")
def options():
    """{spelling: what its value is called or None}, from --help: a line has one value for all its spellings."""
    status, text = run(BINARY, "--help")
    assert status == 0
    found = {}
    for line in text.splitlines():
        if re.match(r" {2,6}-", line):
            spellings, value = re.fullmatch(r"\s+((?:-\w|--[\w-]+)(?:, (?:-\w|--[\w-]+))*)(?: (\S+))?", line[:33].rstrip()
                                            if line[32] == " " else line.split("  ")[-2]).groups()
            found.update((word, value) for word in spellings.split(", "))
    assert len(found) > 50 and found["--events"] == "LIST" and found["-S"] is None
    return found


# ---- the manual page ----


def test_man_has_every_option(options):
    entries = re.findall(r"^\.It (Fl .*)", read("build", "docs", "rebpf.8"), re.M)
    listed = {}
    for entry in entries:
        spellings, _, value = entry.partition(" Ar ")
        listed.update(("-" + word, value or None) for word in re.findall(r"Fl (\S+)", spellings))
    assert listed == options


def test_man_says_what_help_says():
    """The words of --help, wherever its lines break, are in the page."""
    page = " ".join(read("build", "docs", "rebpf.8").split()).lower()
    text = run(BINARY, "--help")[1]
    entries = re.split(r"^ {2,6}-.*?  +(?=\S)", text, flags=re.M)[1:]
    assert len(entries) > 25
    for entry in entries:
        entry = " ".join(re.split(r"^\S", entry, flags=re.M)[0].split()).lower()
        assert entry in page, entry


@pytest.mark.parametrize("command", [("mandoc", "-Tlint", "-Wwarning"), ("groff", "-mandoc", "-ww", "-Tutf8", "-z")])
def test_man_is_well_formed(command):
    need(command[0])
    status, text = run(*command, os.path.join(DOCS, "rebpf.8"))
    assert (status, text) == (0, "")


# ---- completion ----

COMPLETIONS = [
    ("rebpf --caus", {"--cause"}),
    ("rebpf --cause loc", {"local"}),
    ("rebpf --cause=ack", {"ack_local"}),
    ("rebpf -e drop,conn", {"drop,connect"}),
    ("rebpf -o js", {"json"}),
    ("rebpf --color ", {"auto", "always", "never"}),
    ("rebpf --reason NO_SOCKET,NETFILTER_D", {"NO_SOCKET,NETFILTER_DROP"}),
    ("rebpf --explain TCP_LISTEN_O", {"TCP_LISTEN_OVERFLOW"}),
    ("rebpf -i l", {"lo"}),
    ("rebpf -i lo,l", {"lo,lo"}),
    ("rebpf -r READM", {"README.md"}),
    ("rebpf -d ", set()),
    ("rebpf -q --utc --interv", {"--interval"}),
]

BASH = r"""
source build/docs/rebpf.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() { :; }
_rebpf
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash_complete(line):
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith((" ", "=")) else [])
    status, text = run("bash", "-c", BASH, "bash", *words)
    assert status == 0, text
    return set(text.split())


@pytest.mark.parametrize("line,offered", COMPLETIONS, ids=[line for line, _ in COMPLETIONS])
def test_bash_completes(line, offered):
    found = bash_complete(line)
    assert offered <= found if line.endswith((" ", "l")) and offered else found == offered


def test_bash_offers_every_option(options):
    assert bash_complete("rebpf -") == set(options)


def test_bash_does_not_run_names(tmp_path):
    """compgen -W expands its words: a device or process may have any name."""
    mark = tmp_path / "ran"
    names = "ls() { echo '$(touch %s)'; }; cat() { ls; }; _rebpf\n" % mark
    for option in ("-i", "--comm", "--netns"):
        done = subprocess.run(["bash", "-c", BASH.replace("_rebpf\n", names), "bash", "rebpf", option, ""], cwd=TOP,
                              stdout=subprocess.PIPE, check=True, timeout=60)
        assert not done.stdout.strip() and not mark.exists()


def zsh_complete(line):
    """What an interactive zsh makes of the line and a TAB, then ENTER: it echoes the words that it was given."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(TOP)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {"TERM": "dumb", "PATH": os.environ["PATH"], "HOME": "/nonexistent"})

    def wait_for(word):
        text, end = b"", time.monotonic() + 30
        while word not in text and time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                text += os.read(fd, 65536)
        assert word in text, text
        return text

    try:
        os.write(fd, b"unsetopt zle_bracketed_paste; fpath=(build/docs $fpath); autoload -U compinit; compinit -D -u;"
                     b"rebpf() { print -r -- \"[$*]\" }; PS1='RE''ADY '; print\n")
        wait_for(b"READY ")
        os.write(fd, line.encode() + b"\t")
        # The completion is there when zsh has redrawn the line: a mark typed after it comes after it.
        os.write(fd, b" MARK\n")
        return re.search(rb"\n\[(.*?),? *MARK\]", wait_for(b"MARK]")).group(1).decode().strip()
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("line,completed", [
    ("rebpf --cause loc", "--cause local"),
    ("rebpf --cause=ack", "--cause=ack_local"),
    ("rebpf -e drop,conn", "-e drop,connect"),
    ("rebpf -o js", "-o json"),
    ("rebpf --reason NO_SOCKET,NETFILTER_D", "--reason NO_SOCKET,NETFILTER_DROP"),
    ("rebpf --explain TCP_LISTEN_O", "--explain TCP_LISTEN_OVERFLOW"),
    ("rebpf -r READM", "-r README.md"),
])
def test_zsh_completes(line, completed):
    need("zsh")
    assert zsh_complete(line) == completed


def test_zsh_offers_every_option(options):
    text = read("build", "docs", "_rebpf")
    assert {word.rstrip("+=") for word in re.findall(r"^\t'\*(-[^\[]+)\[", text, re.M)} == set(options)


# ---- files of scripts/ ----


def test_dashboard_and_rules_use_what_exists():
    """Every metric, and every label that a query names, is on the page or is a recording rule."""
    code = read("src", "metrics_text.c")
    metrics = set(re.findall(r'"((?:rebpf|tcp)_\w+)[" ]', code)) | {"up"}
    metrics |= {"rebpf_connect_latency_seconds_bucket"}
    labels = set(re.findall(r'label(?:_begin|_u64)?\(out, \S+, "(\w+)"', code)) | {"instance", "job", "src_port", "dst_port", "result",
                                                                                  "ring"}
    rules = [rule for group in yaml.safe_load(read("scripts", "rebpf-rules.yml"))["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    board = json.loads(read("scripts", "grafana-dashboard.json"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [rule["expr"] for rule in rules]
    # What the texts of the alerts tell people to ask.
    queries += [query for rule in rules for query in
                re.findall(r"^(\w+\(.*?\)\)+) says", rule.get("annotations", {}).get("description", ""))]
    assert len(queries) > 20 and len(metrics) > 15
    for query in queries:
        words = re.sub(r'"[^"]*"', "", query)
        for group in re.findall(r"by \(([^)]*)\)", words):
            assert set(re.split(r",\s*", group)) <= labels | {"le"}, query
        for group in re.findall(r"\{([^}]*)\}", words):
            assert set(re.findall(r"(\w+)[=!~]", group)) <= labels, query
        words = re.sub(r"by \([^)]*\)|\{[^}]*\}|\[[^\]]*\]", "", words)
        named = {word for word in re.findall(r"[a-z_]\w*(?::\w+)*", words) if "_" in word or ":" in word or word == "up"}
        assert named - {"histogram_quantile"} <= metrics | recorded, query
    assert any(name in query for name in recorded for query in queries)


def test_yaml_and_its_kin_can_be_read():
    manifests = list(yaml.safe_load_all(read("scripts", "kubernetes.yaml")))
    assert [manifest["kind"] for manifest in manifests] == ["Namespace", "DaemonSet"]
    collector = yaml.safe_load(read("scripts", "otel-collector.yaml"))
    for pipeline in collector["service"]["pipelines"].values():
        for part, names in pipeline.items():
            assert set(names) <= set(collector[part]), part
    tomllib = pytest.importorskip("tomllib")
    vector = tomllib.loads(read("scripts", "vector.toml"))
    steps = {**vector["sources"], **vector["transforms"]}
    for step in [*vector["transforms"].values(), *vector["sinks"].values()]:
        assert set(step["inputs"]) <= set(steps)


def test_kubernetes_is_not_privileged_and_has_what_the_unit_has():
    pod = list(yaml.safe_load_all(read("scripts", "kubernetes.yaml")))[1]["spec"]["template"]
    container, = pod["spec"]["containers"]
    security = container["securityContext"]
    assert security["privileged"] is False and security["capabilities"]["drop"] == ["ALL"]
    unit = read("scripts", "rebpf.service")
    bounds, = re.findall(r"^CapabilityBoundingSet=(.*)", unit, re.M)
    assert {"CAP_" + name for name in security["capabilities"]["add"]} == set(bounds.split())
    assert re.findall(r"^AmbientCapabilities=(.*)", unit, re.M) == [bounds]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(container["ports"][0]["containerPort"]) == "2112"
    assert pod["spec"]["hostNetwork"] and pod["spec"]["hostPID"] and container["resources"]["limits"]


def test_shippers_know_the_time_and_the_keys():
    """The formats that the examples give for the time are those of a real event; the keys that they use are there."""
    lines = run(BINARY, "-r", "tests/golden/local.rebpf", "-o", "json", "-q")[1].splitlines()
    event = {key: value for line in reversed(lines) for key, value in json.loads(line).items()}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", event["time"])
    parser = configparser.ConfigParser()
    parser.read_string(re.sub(r"(?m)^(    \S+) +", r"\1 = ", read("scripts", "fluent-bit-parsers.conf")))
    assert parser["PARSER"]["Time_Key"] in event
    vector = read("scripts", "vector.toml")
    assert set(re.findall(r"(?<=[\s(])\.(\w+)", vector)) <= {*event, "host", "timestamp", "message"}
    used = re.findall(r"attributes\.(\w+)", read("scripts", "otel-collector.yaml"))
    assert used and set(used) <= set(event)


# ---- what is written about options ----


@pytest.mark.parametrize("path", ["README.md", "src/rebpf.8.in", *("scripts/" + name for name in SHIPPED)])
def test_options_that_are_written_about_exist(path, options):
    text = read(path)
    # Commands of rebpf, up to a pipe or a remark; code in a sentence; what the manual page and the manifest call options.
    pieces = re.findall(r"(?:\brebpf +|REBPF_OPTIONS=\"?)(-[^|#`]*)", text)
    pieces += re.findall(r"`(-[^`\n]+)`", text) if path == "README.md" else []
    pieces += ["--" + word for word in re.findall(r"Fl -(\S+)", text)] + re.findall(r"args: (.*)", text)
    named = {word for piece in pieces for word in re.findall(r"(?<![\w-])--[a-z][\w-]+", piece)}
    assert named or path not in ("README.md", "src/rebpf.8.in", "scripts/rebpf.service", "scripts/kubernetes.yaml")
    assert named - {"--force", "--btf", "--privileged"} <= set(options)
