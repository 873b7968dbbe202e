"""What stands between the API and its servers or clients, and misbehaves when told: loopback only."""
import random
import select
import socket
import threading
import time


class Proxy:
    """Passes bytes between clients and a TCP port. Modes: pass; cut_commit (the connection is cut, now when the server says
    that it has committed, so that nobody hears of it, now before a flush reaches it); refuse; delay."""

    def __init__(self, target):
        self.target = target
        self.mode, self.seconds = "pass", 0.0
        self.cuts = self.commits_cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.closing = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.mode == "refuse":
                client.close()
                continue
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        try:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    if not data or self.mode == "refuse":
                        return
                    if self.mode == "delay":
                        time.sleep(self.seconds)
                    committed = source is server and b"COMMIT\0" in data
                    if self.mode == "cut_commit" and random.random() < (0.1 if committed else 0.02):
                        self.cuts += 1
                        self.commits_cut += committed
                        return
                    (server if source is client else client).sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def close(self):
        self.closing = True
        self.listener.close()


class NonsenseRedis:
    """Speaks the protocol and answers everything wrongly: other types, other tenants' records, errors, garbage."""
    ANSWERS = [b"+OK\r\n", b":-1\r\n", b"$-1\r\n", b"*3\r\n:1\r\n:0\r\n:0\r\n", b"*1\r\n$1\r\nx\r\n", b"-ERR nonsense\r\n", b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
               b"$61\r\n9|1|tenant_01h455vb4pex5vsknk084sn02q|acme|default|active|more\r\n", b"\x00\x01garbage\r\n", b"$99999999999\r\n"]

    def __init__(self, record=None):
        # A record of one tenant, well formed, as the answer to every question.
        self.answers = list(self.ANSWERS)
        if record:
            self.answers += [b"$%d\r\n%s\r\n" % (len(record), record.encode())] * 5
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        self.answered = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        try:
            while data := client.recv(65536):
                for _ in range(data.count(b"*", 0, 1) or 1):
                    self.answered += 1
                    client.sendall(random.choice(self.answers))
        except OSError:
            pass
        client.close()

    def close(self):
        self.listener.close()
