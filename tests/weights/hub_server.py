"""A Hugging Face Hub in a thread, on 127.0.0.1: what its client asks to download files, and the ways in which it fails."""

import hashlib
import queue
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HubServer:
    """Repositories of commits of files, in memory.

    - `requests`: what was asked, as 'METHOD /path', in order.
    - `faults`: what goes wrong with the next requests, one each: None, an HTTP status, 'half' of the answer, or 'silence'.
    - `left`: for each silence who was tired of it first, 'client' or, after a minute, 'server'.
    """

    def __init__(self):
        self.commits, self.revisions, self.gated = {}, {}, set()
        self.requests, self.faults, self.left = [], [], queue.Queue()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def commit(self, repo, files, *revisions):
        """Add a commit that `revisions` ('main' by default) then stand for; its hash comes back."""
        commit = hashlib.sha1(repr((repo, files)).encode()).hexdigest()
        self.commits[repo, commit] = files
        self.revisions.update({(repo, revision): commit for revision in (commit, *(revisions or ["main"]))})
        return commit

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def do_GET(self):
        hub = self.hub
        hub.requests.append(f"{self.command} {self.path}")
        fault = hub.faults.pop(0) if hub.faults else None
        if fault == "silence":
            self.connection.settimeout(60)
            try:
                self.rfile.read(1)  # until the connection is closed
                hub.left.put("client")
            except TimeoutError:
                hub.left.put("server")
        elif isinstance(fault, int):
            self.answer(fault, {})
        else:
            self.answer(*self.resolve(), half=fault == "half")

    do_HEAD = do_GET

    def resolve(self):
        """Status, headers and body for what is asked."""
        asked = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if not asked or not any(repo == asked[1] for repo, _ in self.hub.commits):
            return 401, {"X-Error-Code": "RepoNotFound"}
        repo, revision, name = asked.groups()
        if repo in self.hub.gated:
            return 403, {"X-Error-Code": "GatedRepo"}
        commit = self.hub.revisions.get((repo, revision.replace("%2F", "/")))
        if commit is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}
        body = self.hub.commits[repo, commit].get(name)
        if body is None:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob_name("", body)}"'}
        if is_large(name):
            headers |= {"X-Linked-Etag": f'"{blob_name(name, body)}"', "X-Linked-Size": str(len(body))}
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return (206 if start else 200), headers, body[start:]

    def answer(self, status, headers, body=b"", half=False):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if half else body)

    def log_message(self, *args):
        pass


def is_large(name):
    return not name.endswith(".json")


def blob_name(name, body):
    """What the Hub and its cache call a file's content: the sha256 of a large one, the hash that git gives a small one."""
    return (
        hashlib.sha256(body).hexdigest()
        if name and is_large(name)
        else hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    )
