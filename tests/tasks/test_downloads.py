"""Downloads against a server on this machine that can be told to misbehave."""

import dataclasses
import hashlib
import io
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from afterfit.tasks import DataError, Images, download, downloads, files
from afterfit.tasks.published import CIFAR_10, MNIST

NAME = "train-images-idx3-ubyte.gz"
GOOD = b"the published bytes" * 5000
MEMBERS = ("data_batch_1.bin", "test_batch.bin")


class Handler(BaseHTTPRequestHandler):
    """Answers from `server.files`; /broken/ announces more than it sends, /wrong/ sends other bytes."""

    def do_GET(self):
        folder, name = self.path.rsplit("/", 1)
        self.server.asked.append(self.path)
        body = self.server.files.get(name)
        if body is None or folder == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write({"/broken": body[: len(body) // 2], "/wrong": body[::-1]}.get(folder, body))

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server with one good file; `url(folder)` is an address of its."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.files, http.asked = {NAME: GOOD}, []
        http.url = lambda folder: f"http://127.0.0.1:{http.server_port}/{folder}/"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http
        http.shutdown()
        thread.join()


def image_set(*addresses, content=GOOD):
    """MNIST with one file that has the checksum of `content`."""
    checksums = {NAME: hashlib.sha256(content).hexdigest()}
    return dataclasses.replace(MNIST, checksums=checksums, addresses=addresses)


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_good_file_arrives_and_is_kept(server, tmp_path):
    published = image_set(server.url("good"))
    for _ in range(2):
        downloads.fetch_set(published, tmp_path, progress=False)
    assert (tmp_path / NAME).read_bytes() == GOOD
    assert server.asked == [f"/good/{NAME}"], "the second time nothing is fetched"


def test_a_damaged_file_that_is_there_is_replaced(server, tmp_path):
    (tmp_path / NAME).write_bytes(b"damaged")
    downloads.fetch_set(image_set(server.url("good")), tmp_path, progress=False)
    assert (tmp_path / NAME).read_bytes() == GOOD


@pytest.mark.parametrize("folder", ["wrong", "broken", "missing"])
def test_whatever_goes_wrong_leaves_no_file_and_one_line(server, tmp_path, folder, refused):
    address = server.url(folder)
    with refused(DataError, NAME, "nothing was kept", address):
        downloads.fetch(image_set(address), NAME, tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["wrong", "broken", "missing", "down"])
def test_the_mirror_serves_when_the_first_address_fails(server, tmp_path, folder):
    first = f"http://127.0.0.1:{closed_port()}/" if folder == "down" else server.url(folder)
    downloads.fetch(image_set(first, server.url("good")), NAME, tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == GOOD


def test_every_address_tried_is_named(server, tmp_path, refused):
    down = f"http://127.0.0.1:{closed_port()}/"
    with refused(DataError, down, "then " + server.url("missing"), "404"):
        downloads.fetch(image_set(down, server.url("missing")), NAME, tmp_path, progress=False)


def test_progress_is_shown_on_standard_error(server, tmp_path, capsys):
    downloads.fetch(image_set(server.url("good")), NAME, tmp_path, progress=True)
    captured = capsys.readouterr()
    assert NAME in captured.err
    assert captured.out == ""


# --- CIFAR-10 comes as an archive -------------------------------------------------------------------------------


def archive(*entries):
    """A tar.gz of entries (name, content), where content None makes a link to /etc/passwd."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            info.size = len(content or b"")
            tar.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


@pytest.fixture
def cifar(server, monkeypatch):
    """Serve an archive as CIFAR-10, of which two files are wanted."""

    def serve(*entries, folder="good"):
        content = archive(*entries)
        server.files["cifar-10-binary.tar.gz"] = content
        monkeypatch.setattr(downloads.cifar, "TRAIN_FILES", MEMBERS[:1])
        checksums = {"cifar-10-binary.tar.gz": hashlib.sha256(content).hexdigest()}
        return dataclasses.replace(CIFAR_10, checksums=checksums, addresses=(server.url(folder),))

    return serve


def inside(name):
    return f"cifar-10-batches-bin/{name}"


def test_only_the_wanted_members_are_kept(cifar, server, tmp_path):
    target = tmp_path / "set"
    target.mkdir()
    entries = [(inside(name), name.encode()) for name in (*MEMBERS, "readme.html")]
    published = cifar(*entries, ("../outside.bin", b"x"), (str(tmp_path / "absolute.bin"), b"x"))
    for _ in range(2):
        downloads.fetch_set(published, target, progress=False)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {name: name.encode() for name in MEMBERS}
    assert [path.name for path in tmp_path.iterdir()] == ["set"], "nothing was written anywhere else"
    assert len(server.asked) == 1, "the second time nothing is fetched"


@pytest.mark.parametrize("others", [[], [(inside(MEMBERS[1]), None)]], ids=["missing", "a link"])
def test_an_archive_without_a_member_or_with_a_link_in_its_place_leaves_nothing(cifar, others, tmp_path, refused):
    with refused(DataError, f"has no file {inside(MEMBERS[1])}"):
        downloads.fetch_set(cifar((inside(MEMBERS[0]), b"1"), *others), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_cut_off_leaves_nothing(cifar, tmp_path, refused):
    with refused(DataError, "cifar-10-binary.tar.gz", "nothing was kept"):
        downloads.fetch_set(cifar((inside(MEMBERS[0]), b"1"), folder="broken"), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


# --- Only when asked --------------------------------------------------------------------------------------------


def test_nothing_is_downloaded_unless_asked(server, no_data, monkeypatch, refused):
    monkeypatch.setitem(downloads.IMAGE_SETS, "mnist", image_set(server.url("good")))
    with refused(DataError, "afterfit download mnist"):
        Images().table()
    assert server.asked == []


def test_the_environment_can_ask(no_data, server, monkeypatch, refused):
    published = image_set(server.url("good"))
    monkeypatch.setitem(downloads.IMAGE_SETS, "mnist", published)
    monkeypatch.setattr(downloads, "cache_folder", files.cache_folder)
    monkeypatch.setenv("AFTERFIT_DOWNLOAD", "1")
    found = files.find_or_download(published, (NAME,))
    assert found == files.cache_folder() / "mnist" / NAME
    assert files.verify(published, found).read_bytes() == GOOD


def test_download_returns_the_folder_of_the_set(server, tmp_path, monkeypatch):
    monkeypatch.setitem(downloads.IMAGE_SETS, "mnist", image_set(server.url("good")))
    assert download("mnist", tmp_path, progress=False) == tmp_path / "mnist"
    assert (tmp_path / "mnist" / NAME).read_bytes() == GOOD


@pytest.mark.parametrize(
    ("dataset", "parts"),
    [("digits", ["come with scikit-learn"]), ("imagenet", ["mnist, fashion-mnist, cifar-10"])],
)
def test_what_cannot_be_downloaded_is_refused(dataset, parts, refused):
    with refused(DataError, dataset, *parts):
        download(dataset)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path, monkeypatch, refused):
    monkeypatch.setitem(downloads.IMAGE_SETS, "mnist", image_set(server.url("good")))
    (tmp_path / "file").write_text("")
    with refused(DataError, str(tmp_path / "file"), "cannot be written"):
        download("mnist", tmp_path / "file", progress=False)
    assert server.asked == []
