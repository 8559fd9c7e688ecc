"""Files are fetched once, continued after a break, and compared with what was published."""

import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from builders import make_card

from hydracalc.card import SourceFile
from hydracalc.errors import DataError
from hydracalc.ingest.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)


class Server(ThreadingHTTPServer):
    """Serves what is in `files`; breaks off `breaks` times in the middle of an answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.breaks = 0
        self.ranges = True
        self.asked = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, start = self.server, 0
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if server.breaks:
            server.breaks -= 1
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.close_connection = True
            return
        self.wfile.write(content[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def card_of(*files):
    return make_card("own", ("H",)).model_copy(update={"files": files})


def source(server, published="data.h5", content=CONTENT, **changes):
    server.files[f"/{published}"] = content
    about = {
        "name": published,
        "url": f"{server.address}/{published}",
        "size": len(content),
        "md5": hashlib.md5(content).hexdigest(),
    }
    return SourceFile(**(about | changes))


def test_a_file_is_fetched_and_then_there(server, tmp_path):
    card, seen = card_of(source(server)), []
    assert download(card, tmp_path / "raw", progress=seen.append) == {"data.h5": "fetched"}
    assert (tmp_path / "raw" / "data.h5").read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert download(card, tmp_path / "raw") == {"data.h5": "already there"}
    assert len(server.asked) == 1


def test_a_break_is_continued_not_begun_again(server, tmp_path):
    server.breaks = 2
    download(card_of(source(server)), tmp_path)
    assert (tmp_path / "data.h5").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked][:2] == [None, f"bytes={len(CONTENT) // 2}-"]
    assert len(server.asked) == 3


def test_a_break_for_good_keeps_what_came(server, tmp_path):
    server.breaks = 5
    with pytest.raises(OSError, match="broke off after .* the same command continues there"):
        download(card_of(source(server)), tmp_path)
    assert not (tmp_path / "data.h5").exists()
    kept = (tmp_path / "data.h5.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    download(card_of(source(server)), tmp_path)
    assert server.asked[-1] == ("/data.h5", f"bytes={kept}-")
    assert (tmp_path / "data.h5").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_again(server, tmp_path):
    server.ranges, server.breaks = False, 1
    download(card_of(source(server)), tmp_path)
    assert (tmp_path / "data.h5").read_bytes() == CONTENT


def test_a_whole_part_is_taken(server, tmp_path):
    (tmp_path / "data.h5.part").write_bytes(CONTENT)
    download(card_of(source(server)), tmp_path)
    assert (tmp_path / "data.h5").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"md5": "0" * 32}, "md5 is .*, published is 0000"),
        ({"sha256": "f" * 64}, "sha256 is .*, published is ffff"),
        ({"size": 17}, "has 3000000 bytes, published are 17"),
    ],
)
def test_another_content_than_published_is_refused(server, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        download(card_of(source(server, **changes)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    (tmp_path / "data.h5").write_bytes(CONTENT[:-1] + b"x")
    assert download(card_of(source(server)), tmp_path) == {"data.h5": "fetched"}
    assert (tmp_path / "data.h5").read_bytes() == CONTENT


def test_a_missing_file_is_named(server, tmp_path):
    card = card_of(SourceFile(name="gone.h5", url=f"{server.address}/gone.h5"))
    with pytest.raises(OSError, match=r"/gone\.h5: 404"):
        download(card, tmp_path)


def test_no_room_is_found_before(server, tmp_path):
    with pytest.raises(ValueError, match="the disk has"):
        download(card_of(source(server, size=2**60)), tmp_path)
    assert server.asked == []


def packed(kind):
    """An archive with two wanted files, an unwanted one and one that would escape."""
    names = ("set/a.npz", "set/b.npz", "set/readme.txt", "../evil.npz")
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, name.encode())
    else:
        with tarfile.open(fileobj=buffer, mode="w:bz2") as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = len(name)
                archive.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_the_card_names_is_taken_out_of_an_archive(server, tmp_path, kind):
    file = source(server, f"all.{kind}", packed(kind), name="*.npz", unpack=kind)
    raw = tmp_path / "raw"
    assert download(card_of(file), raw) == {"*.npz": "fetched, 2 unpacked"}
    assert sorted(path.name for path in raw.rglob("*")) == ["a.npz", f"all.{kind}", "b.npz", "set"]
    assert (raw / "set" / "a.npz").read_bytes() == b"set/a.npz"
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_compressed_file_is_unpacked(server, tmp_path):
    file = source(server, "data.h5.gz", gzip.compress(CONTENT), name="data.h5", unpack="gz")
    assert download(card_of(file), tmp_path) == {"data.h5": "fetched, 1 unpacked"}
    assert (tmp_path / "data.h5").read_bytes() == CONTENT


def test_an_archive_without_the_file_is_an_error(server, tmp_path):
    file = source(server, "all.zip", packed("zip"), name="other.h5", unpack="zip")
    with pytest.raises(DataError, match=r"all\.zip.*nothing in it is named other\.h5"):
        download(card_of(file), tmp_path)


def test_a_page_is_named_but_not_fetched(server, tmp_path):
    page = SourceFile(name="part_*.json", url="https://example.org/all")
    with pytest.raises(ValueError, match=r"no file can be fetched by itself; see https://example"):
        download(card_of(page), tmp_path)
    done = download(card_of(source(server), page), tmp_path)
    assert done["part_*.json"] == "not fetched: no single file, see https://example.org/all"
    with pytest.raises(ValueError, match="states no address"):
        download(card_of(), tmp_path)


def test_archives_of_equal_names_go_into_the_folders_of_the_card(server, tmp_path):
    """Train and val, with the same files inside: one may not overwrite the other."""
    files = []
    for side in ("train", "val"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            member = tarfile.TarInfo("rattled/data.db")
            member.size = len(side)
            archive.addfile(member, io.BytesIO(side.encode()))
        pattern = f"{side}/rattled/*.db"
        file = source(server, f"{side}/all.tar.gz", buffer.getvalue(), name=pattern, unpack="tar")
        files.append(file)
    done = download(card_of(*files), tmp_path)
    assert set(done.values()) == {"fetched, 1 unpacked"}
    for side in ("train", "val"):
        assert (tmp_path / side / "rattled" / "data.db").read_text() == side
    assert set(download(card_of(*files), tmp_path).values()) == {"already there, 1 unpacked"}
