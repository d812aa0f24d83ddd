# SPDX-License-Identifier: MIT
"""What the tests of installation share: make, and guests that consist of one directory."""
import os
import subprocess

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.join(TOP, "build")


def run(*argv, timeout=300, **kwargs):
    """Output of a command that must succeed, with its messages."""
    done = subprocess.run(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False,
                          **kwargs)
    out = done.stdout.decode(errors="replace")
    assert done.returncode == 0, "%s: %d\n%s" % (" ".join(argv), done.returncode, out)
    return out


def make(*args, timeout=600):
    return run("make", "--no-print-directory", *args, timeout=timeout)


def tree(root):
    """Every path below a directory, directories with a slash."""
    found = set()
    for path, dirs, files in os.walk(root):
        found |= {os.path.relpath(os.path.join(path, name), root) + "/" for name in dirs}
        found |= {os.path.relpath(os.path.join(path, name), root) for name in files}
    return found


def kernel(suite):
    """The directory of a Debian kernel, fetched if it is not there; None: it cannot be had."""
    done = subprocess.run(["tests/vm/kernels.sh", "build/vm", suite], cwd=TOP, timeout=600, check=False)
    return os.path.join(BUILD, "vm", suite) if done.returncode == 0 else None


def boot(suite_dir, root, memory, seconds, work):
    """Boots a kernel with a directory as its whole file system; returns the console's lines."""
    initrd, console = os.path.join(work, "initrd"), os.path.join(work, "console")
    with open(initrd, "wb") as out:
        names = subprocess.Popen(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE)
        subprocess.run(["cpio", "-0", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, stdin=names.stdout, stdout=out,
                       check=True, timeout=300)
        names.wait()
    subprocess.run(
        ["timeout", "-k", "5", str(seconds), "qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "qemu64,+rdrand",
         "-smp", "2", "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
         "-kernel", os.path.join(suite_dir, "vmlinuz"), "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1",
         "-serial", "file:" + console], stdin=subprocess.DEVNULL, check=False, timeout=seconds + 30)
    os.unlink(initrd)
    with open(console, encoding="utf-8", errors="replace") as file:
        return file.read().replace("\r", "").splitlines()
