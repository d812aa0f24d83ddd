# SPDX-License-Identifier: MIT
"""What matrix.sh found on each kernel: matrix.tsv, and the README's part that is made from it.

    matrix.py add KERNEL TESTS LOG   puts the results of a run into matrix.tsv (1: tests failed, or the run did not
                                     come to its end: then the row stays as it was)
    matrix.py readme                 rewrites README.md between the marks
"""
import datetime
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "matrix.tsv")
README = os.path.join(HERE, "..", "..", "README.md")
BEGIN, END = "<!-- matrix:begin -->", "<!-- matrix:end -->"
COLUMNS = ("kernel", "release", "machine", "page", "rt", "date", "tests", "passed", "failed", "skipped", "hooks", "unseen")

# Roles of --check that differ between kernels: the table's columns.
ROLES = ("attempt", "synack", "tc", "drop", "overflow", "dsack", "undo", "syn", "noroute", "accept")


def read_results():
    """The rows, as dictionaries."""
    with open(RESULTS, encoding="ascii") as file:
        head, *lines = file.read().splitlines()
    assert tuple(head.split("\t")) == COLUMNS, "%s: other columns" % RESULTS
    return [dict(zip(COLUMNS, line.split("\t"))) for line in lines]


def write_results(rows):
    with open(RESULTS + ".new", "w", encoding="ascii") as file:
        file.write("\t".join(COLUMNS) + "\n")
        file.writelines("\t".join(row[column] for column in COLUMNS) + "\n" for row in sorted(rows, key=order))
    os.replace(RESULTS + ".new", RESULTS)


def order(row):
    return row["machine"] != "x86_64", version(row), row["rt"], int(row["page"]), row["kernel"]


def version(row):
    return tuple(int(part) for part in re.findall(r"\d+", row["release"])[:2])


def parse(kernel, tests, log):
    """The row of a run; what a run that did not come so far has not said is '-'."""

    def said(pattern):
        found = re.search(pattern, log, re.M)
        return found.groups() if found else ("-",) * re.compile(pattern).groups

    row = dict.fromkeys(COLUMNS, "-")
    row.update(kernel=kernel, tests=tests, date=datetime.date.today().isoformat())
    for name in ("release", "machine", "page"):
        row[name], = said("^%s: (.*)" % name)
    row["rt"] = "yes" if "PREEMPT_RT" in said("^version: (.*)")[0] else "no"
    row["passed"], row["failed"], row["skipped"] = said(r"^total: (\d+) passed, (\d+) failed, (\d+) skipped")
    hooks, unseen, role = [], [], None
    for line in log.splitlines():
        found = re.match(r"(\w+): (\S+)  \(", line)
        if found:
            role = found[1]
            hooks.append("%s=%s" % found.groups())
        elif role and line.startswith("    not seen: "):
            unseen.append("%s: %s" % (role, line.strip()[len("not seen: "):]))
        elif line == "privileges:":
            break
    row["hooks"], row["unseen"] = " ".join(hooks) or "-", " | ".join(unseen) or "-"
    return row


def label(row):
    """A kernel as the table's reader knows it."""
    words = ["%d.%d" % version(row)]
    if row["kernel"] == "running":
        words.append("a hosted machine's own")
    if row["rt"] == "yes":
        words.append("PREEMPT_RT")
    if row["machine"] == "aarch64":
        words.append("arm64")
    if row["page"] != "4096":
        words.append("%d KiB pages" % (int(row["page"]) // 1024))
    return ", ".join(words)


def table(rows):
    """The README's part between the marks."""
    lines = ["| Linux | %s | tests passed, failed, skipped |" % " | ".join(ROLES), "|---" * (len(ROLES) + 2) + "|"]
    unseen = {}
    for row in rows:
        hooks = dict(hook.split("=") for hook in row["hooks"].split())
        tests = " ".join(row["tests"].split())
        lines.append("| %s | %s | %s, %s, %s (%s; %s) |" % (
            label(row), " | ".join(hooks.get(role, "-") for role in ROLES), row["passed"], row["failed"], row["skipped"],
            tests, row["date"]))
        for text in row["unseen"].split(" | "):
            if not re.match(r"-|\w+: nothing", text):
                unseen.setdefault(text, []).append(label(row))
    lines += ["", "What they do not show, as `--check` says it:", ""]
    lines += ["- %s: %s" % (text, "; ".join(on)) for text, on in sorted(unseen.items())]
    return "\n".join(lines) + "\n"


def read_readme():
    """The README before, in and behind the part."""
    with open(README, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN + "\n")
    part, after = rest.split(END + "\n")
    return before, part, after


def main(args):
    if args[:1] == ["add"] and len(args) == 4:
        with open(args[3], encoding="utf-8", errors="replace") as file:
            row = parse(args[1], args[2], file.read())
        if "-" in (row["hooks"], row["passed"]):
            print("%s: the run did not come to its end: see %s" % (args[1], args[3]))
            return 1
        write_results([old for old in read_results() if old["kernel"] != row["kernel"]] + [row])
        print("%s: %s passed, %s failed, %s skipped" % (label(row), row["passed"], row["failed"], row["skipped"]))
        return 0 if row["failed"] == "0" else 1
    if args == ["readme"]:
        before, _, after = read_readme()
        with open(README + ".new", "w", encoding="utf-8") as file:
            file.write(before + BEGIN + "\n" + table(read_results()) + END + "\n" + after)
        os.replace(README + ".new", README)
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
