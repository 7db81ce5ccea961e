"""Files are replaced as a whole or not at all, whatever fails, dies or loses power meanwhile."""

from __future__ import annotations

import errno
import os
import re
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support.disk import crashes, failing, record, restore
from unrolled.core import atomic_files
from unrolled.core.atomic_files import TEMPORARY, atomic_writer, sweep, temporary_folder, write_atomically
from unrolled.core.errors import StorageError, UsageError

OLD, NEW = b"old" * 100, b"new" * 5000


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(TEMPORARY))


def test_pieces_are_written_one_after_the_other(tmp_path: Path):
    path = tmp_path / "f"
    write_atomically(path, b"ab", memoryview(b"cd"), b"")
    assert path.read_bytes() == b"abcd"
    write_atomically(path)
    assert path.read_bytes() == b""
    assert left(tmp_path) == []


def test_a_new_file_follows_the_umask_and_an_old_one_keeps_its_permissions(tmp_path: Path):
    path = tmp_path / "f"
    umask = os.umask(0o022)
    try:
        write_atomically(path, OLD)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o600)
        write_atomically(path, NEW)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(umask)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o664, 0o777])
def test_a_file_that_is_replaced_keeps_its_mode_while_it_is_written(tmp_path: Path, mode: int):
    path = tmp_path / "f"
    path.write_bytes(OLD)
    path.chmod(mode)
    with atomic_writer(path) as write:
        (temporary,) = left(tmp_path)
        assert stat.S_IMODE((tmp_path / temporary).stat().st_mode) == mode
        write(NEW)
        assert stat.S_IMODE((tmp_path / temporary).stat().st_mode) == mode
    assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_bytes() == NEW


def test_a_mode_that_changes_meanwhile_is_kept(tmp_path: Path):
    path = tmp_path / "f"
    path.write_bytes(OLD)
    with atomic_writer(path) as write:
        write(NEW)
        path.chmod(0o640)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path):
    target, link = tmp_path / "elsewhere" / "f", tmp_path / "link"
    target.parent.mkdir()
    target.write_bytes(OLD)
    link.symlink_to(target)
    write_atomically(link, NEW)
    assert link.is_symlink() and target.read_bytes() == NEW


def test_long_names_fit(tmp_path: Path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_only_regular_files_are_replaced(tmp_path: Path, what: str):
    path = tmp_path / what
    path.mkdir() if what == "folder" else os.mkfifo(path)
    with pytest.raises(UsageError, match="not a regular file"):
        write_atomically(path, NEW)
    assert path.exists() and left(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(StorageError, match=r"folder does not exist.*mkdir -p") as caught:
        write_atomically(tmp_path / "no" / "f", NEW)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_an_error_of_any_system_call_leaves_the_old_file(tmp_path: Path, code: int):
    path = tmp_path / "f"
    failed: list[str] = []
    for number in range(20):
        write_atomically(path, OLD)
        told: list[str] = []
        try:
            with failing(number, code, told):
                write_atomically(path, NEW, NEW)
        except StorageError as error:
            # The last call syncs the folder: by then the new file is in place, whole.
            renamed = "is written, but" in str(error)
            assert path.read_bytes() == (NEW + NEW if renamed else OLD)
            if not renamed:
                assert re.search(r"30,000 bytes needed, [\d,]+ free\).*intact", str(error)), error
            failed += told
        else:
            assert path.read_bytes() == NEW + NEW
            if not told:
                break
        assert left(tmp_path) == [] or told == ["unlink"]
        sweep(tmp_path)
        assert left(tmp_path) == []
    assert {"open", "write", "fsync", "replace"} <= set(failed)


def test_a_quota_of_the_system_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "f"
    write_atomically(path, OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StorageError, match="15,000 bytes needed"):
            write_atomically(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == OLD and left(tmp_path) == []


def test_a_read_only_folder_is_told():
    code = """
import os, sys
from pathlib import Path
from unrolled.core import atomic_files, errors
os.chdir(sys.argv[1])
os.chmod(".", 0o555)
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    atomic_files.write_atomically(Path("f"), b"new")
except errors.StorageError as error:
    print(error.exit_code, error)
"""
    with tempfile.TemporaryDirectory() as name:  # not tmp_path: nobody but its owner may enter that
        path = Path(name) / "f"
        path.write_bytes(OLD)
        done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, timeout=60)
        path.parent.chmod(0o755)
        assert done.stdout.startswith("3 ") and "Permission denied (3 bytes needed" in done.stdout, done
        assert path.read_bytes() == OLD and left(path.parent) == []


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(atomic_files, "WRITE_AT_MOST", 7)
    write_atomically(tmp_path / "f", NEW)
    assert (tmp_path / "f").read_bytes() == NEW


def test_a_power_loss_leaves_the_old_or_the_new_file(tmp_path: Path):
    assert lost(tmp_path) == []


@pytest.mark.parametrize("without", ["sync", "sync_folder"])
def test_the_power_loss_test_sees_a_missing_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str
):
    monkeypatch.setattr(atomic_files, without, lambda _: None)
    assert lost(tmp_path) != []


def lost(folder: Path) -> list[bytes]:
    """What a power loss during and after a save may leave that is neither promised nor old."""
    root, copy = folder / "root", folder / "copy"
    root.mkdir()
    copy.mkdir()
    path = root / "f"
    path.write_bytes(OLD)
    with record(root) as recording:
        recording.mark({OLD, NEW})
        write_atomically(path, NEW)
        recording.mark({NEW})
    wrong: list[bytes] = []
    states = list(crashes(recording))
    assert len(states) > 10
    for state, allowed in states:
        restore(state, root, copy)
        sweep(copy)
        assert left(copy) == []
        there = copy / "f"
        if not there.exists() or there.read_bytes() not in allowed:
            wrong.append(there.read_bytes() if there.exists() else b"absent")
    return wrong


def test_an_interruption_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "f"
    write_atomically(path, OLD)
    monkeypatch.setattr(atomic_files, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, NEW)
    assert path.read_bytes() == OLD and left(tmp_path) == []


@pytest.mark.parametrize("call", ["open", "fstat"])
def test_an_interruption_as_soon_as_there_is_a_file_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    done = getattr(os, call)

    def interrupted(*arguments: object) -> None:
        done(*arguments)
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(atomic_files.os, call, interrupted)
        write_atomically(tmp_path / "x", b"new")
    assert not list(tmp_path.iterdir())


def test_a_writer_keeps_the_old_file_where_its_block_fails(tmp_path: Path):
    path = tmp_path / "f"
    path.write_bytes(OLD)
    with pytest.raises(ZeroDivisionError), atomic_writer(path) as write:
        write(NEW)
        print(1 // 0)
    assert path.read_bytes() == OLD and left(tmp_path) == []
    with atomic_writer(path) as write:
        write(b"a")
        write(b"b")
        assert path.read_bytes() == OLD
    assert path.read_bytes() == b"ab"


def test_the_sweep_spares_what_is_being_written(tmp_path: Path):
    kept = tmp_path / "mine"
    kept.write_bytes(b"mine")
    with atomic_writer(tmp_path / "f") as write:
        write(NEW)
        (tmp_path / f"{TEMPORARY}1-dead").write_bytes(b"half")
        assert len(left(tmp_path)) == 2
        sweep(tmp_path)
        assert len(left(tmp_path)) == 1
    assert (tmp_path / "f").read_bytes() == NEW and kept.exists()
    sweep(tmp_path / "nowhere")


KILLED = """
import os, signal, sys
from pathlib import Path
from unrolled.core.atomic_files import atomic_writer, temporary_folder
home = Path(sys.argv[1])
with temporary_folder(home) as folder, atomic_writer(home / "f") as write:
    (folder / "within").mkdir()
    (folder / "within" / "file").write_bytes(b"half")
    write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_while_writing(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(folder)], timeout=60)
    assert len(left(folder)) == 2


def test_the_first_write_into_a_folder_removes_what_a_killed_process_left(tmp_path: Path):
    kill_while_writing(tmp_path)
    write_atomically(tmp_path / "g", NEW)
    assert left(tmp_path) == [] and not (tmp_path / "f").exists()


def test_the_next_temporary_folder_removes_those_of_killed_processes(tmp_path: Path):
    kill_while_writing(tmp_path)
    with temporary_folder(tmp_path) as folder:
        assert left(tmp_path) == [folder.name] and stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").write_bytes(OLD)
        with temporary_folder(tmp_path) as other:  # a second one leaves the first alone
            assert sorted(left(tmp_path)) == sorted([folder.name, other.name])
        assert (folder / "file").exists()
    assert left(tmp_path) == []


def test_the_sweep_follows_no_link_and_waits_for_no_pipe(tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_bytes(OLD)
    (tmp_path / f"{TEMPORARY}1-link").symlink_to(mine)
    os.mkfifo(tmp_path / f"{TEMPORARY}1-pipe")
    sweep(tmp_path)
    assert (mine / "file").read_bytes() == OLD
