"""Uploads a file with unmodified tuspy in several ways, through cuts, and checks what the server holds.

usage: upload.py ENDPOINT TOKEN FILE     (ENDPOINT such as http://127.0.0.1:8080/api/v1/files)

Prints a line for each case and ends with `tuspy OK`; ends with another status at the first fault.
Every upload names the SHA-256 of the whole in its metadata, or is compared with it by the server's
answer to a wrong one: bytes that differ are refused with the last request.
"""

import hashlib
import socket
import sys
import threading
from urllib.parse import urlsplit

import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed


class Relay:
    """Passes connections on to the server and cuts the first ones after some bytes from the client."""

    def __init__(self, endpoint, cuts):
        self.server = (urlsplit(endpoint).hostname, urlsplit(endpoint).port)
        self.cuts = list(cuts)
        self.cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}{urlsplit(endpoint).path}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.server)
            threading.Thread(target=self.answers, args=(server, client), daemon=True).start()
            threading.Thread(target=self.requests, args=(client, server), daemon=True).start()

    def requests(self, client, server):
        passed = 0
        try:
            while data := client.recv(16384):
                passed += len(data)
                if self.cuts and passed > self.cuts[0]:
                    self.cuts.pop(0)
                    self.cut += 1
                    break
                server.sendall(data)
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def answers(server, client):
        try:
            while data := server.recv(16384):
                client.sendall(data)
        except OSError:
            pass


def main(endpoint, token, path):
    content = open(path, "rb").read()
    size = len(content)
    headers = {"Authorization": f"Bearer {token}"}
    named = {"sealed_sha256": hashlib.sha256(content).hexdigest(), "filename": "upload.bin"}

    def client(at=endpoint):
        return TusClient(at, headers=headers)

    def held(url):
        answer = requests.head(url, headers={**headers, "Tus-Resumable": "1.0.0"})
        assert answer.status_code == 200, (answer.status_code, url)
        assert answer.headers["Upload-Length"] == str(size), answer.headers
        return int(answer.headers["Upload-Offset"])

    def whole(case, uploader):
        assert held(uploader.url) == size, f"{case}: {held(uploader.url)} of {size} bytes are held"
        print(f"{case}: OK", flush=True)

    uploader = client().uploader(path, metadata=named)
    uploader.upload()
    whole("plain", uploader)

    uploader = client().uploader(path)
    uploader.upload()
    whole("without metadata", uploader)

    uploader = client().uploader(path, metadata=named, chunk_size=max(1, size // 7), upload_checksum=True)
    uploader.upload()
    whole("chunks with checksums", uploader)

    uploader = client().uploader(path, metadata=named, chunk_size=max(1, size // 5))
    uploader.upload(stop_at=size // 2)
    offset = held(uploader.url)
    assert 0 < offset < size, offset
    again = client().uploader(path, url=uploader.url)
    assert again.offset == offset, (again.offset, offset)
    again.upload()
    whole("resumed by another client", again)

    relay = Relay(endpoint, [size // 3, size // 3, size // 5])
    uploader = client(relay.endpoint).uploader(path, metadata=named, retries=8, retry_delay=0)
    uploader.upload()
    assert relay.cut == 3, f"only {relay.cut} of 3 connections were cut"
    whole("through cuts", uploader)

    other = {**named, "sealed_sha256": hashlib.sha256(b"other").hexdigest()}
    try:
        client().uploader(path, metadata=other).upload()
    except TusUploadFailed as refusal:
        assert refusal.status_code == 422, refusal.status_code
        print("other content refused: OK", flush=True)
    else:
        raise AssertionError("content that differs from its name was accepted")
    print("tuspy OK")


if __name__ == "__main__":
    main(*sys.argv[1:])
