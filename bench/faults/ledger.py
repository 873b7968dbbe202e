"""Clients that keep a ledger of what the service promised them, and the check of it afterwards."""
import http.client
import json
import threading
import time
import uuid

# What a request may take: http.request_timeout (10 s by default), and some for a busy machine.
DEADLINE = 14


class Ledger:
    """Each writer repeats a write with its idempotency key until it has an answer that is final. Readers read. Others
    write what must be refused. Every attempt is noted with its time."""

    def __init__(self, clients, writers=2, readers=1, refused=1):
        self.clients = clients
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.acknowledged = {}  # name -> id
        self.attempted, self.refused, self.open = set(), set(), set()
        self.attempts = []  # (tenant, start, end, good, written)
        self.wrong = []
        self.newcomers = 0
        self.threads = [threading.Thread(target=work, args=(c,), daemon=True)
                        for c in clients for work, n in ((self.write, writers), (self.read, readers), (self.be_refused, refused)) for _ in range(n)]
        for t in self.threads:
            t.start()

    def ask(self, client, method, path, body=None, key=None):
        """The status (0: no whole answer) and the body of one attempt."""
        headers = {"Authorization": "Bearer " + client.key, "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=DEADLINE + 16)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            status, text = 0, b""
        finally:
            connection.close()
        with self.lock:
            self.attempts.append((client.slug, start, time.monotonic(), 200 <= status < 500, status == 201))
        return status, text

    def write(self, client):
        while not self.stop.is_set():
            name = f"{client.slug} {uuid.uuid4().hex}"
            with self.lock:
                self.attempted.add(name)
                self.open.add(name)
            # After the stop a write that was begun is still brought to its end.
            until = None
            while True:
                status, text = self.ask(client, "POST", client.own("/projects"), {"name": name}, name.replace(" ", "-"))
                if status == 201:
                    made = json.loads(text)
                    with self.lock:
                        self.acknowledged[name] = made["id"]
                        self.open.discard(name)
                    if made["name"] != name:
                        self.wrong.append((name, status, text[:200]))
                    break
                if status not in (0, 409, 429, 503, 504):
                    self.wrong.append((name, status, text[:200]))
                    with self.lock:
                        self.open.discard(name)
                    break
                if self.stop.is_set():
                    until = until or time.monotonic() + 60
                    if time.monotonic() > until:
                        break
                time.sleep(0.05)

    def read(self, client):
        while not self.stop.is_set():
            status, text = self.ask(client, "GET", client.own("/projects?page_size=2"))
            if status == 200 and any(not item["name"].startswith(client.slug + " ") for item in json.loads(text)["items"]):
                self.wrong.append(("another tenant's row", status, text[:200]))
            elif status not in (0, 200, 503, 504):
                self.wrong.append(("read", status, text[:200]))
            time.sleep(0.01)

    def be_refused(self, client):
        while not self.stop.is_set():
            name = f"refused {uuid.uuid4().hex}"
            with self.lock:
                self.refused.add(name)
            status, text = self.ask(client, "POST", client.own("/projects"), {"name": name, "no_such_member": 1}, name.replace(" ", "-"))
            if status not in (0, 400, 409, 503, 504):
                self.wrong.append((name, status, text[:200]))
            time.sleep(0.02)

    def sign_up_others(self, sign_up, others_port):
        """Organizations that nobody has heard of sign up at one process, and ask at another: what Redis holds is looked at."""
        def work():
            while not self.stop.is_set():
                try:
                    client = sign_up()
                    client.port = others_port
                    answer = client.get(client.own("/projects"))
                    if answer.status != 200 or answer.json["items"] != []:
                        self.wrong.append(("a newcomer", answer.status, answer.body[:200]))
                    self.newcomers += 1
                except Exception as e:  # whatever it is, it is not what a newcomer should meet
                    self.wrong.append(("a newcomer", 0, repr(e)))
                time.sleep(0.05)
        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    def wait_for_writes(self, since, seconds):
        """Until each tenant has a write that was begun after that moment and acknowledged."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                if len({a[0] for a in self.attempts if a[4] and a[1] >= since}) == len(self.clients):
                    return
            time.sleep(0.02)

    def recovery(self, over):
        """Seconds from the fault's end to the first acknowledged write that begins after a tenant's last failed attempt; of
        the tenant that waited longest. None: there is none."""
        longest = 0.0
        for tenant in {c.slug for c in self.clients}:
            own = [a for a in self.attempts if a[0] == tenant]
            last_failed = max((a[2] for a in own if not a[3]), default=0.0)
            first = min((a[2] for a in own if a[4] and a[1] >= last_failed), default=None)
            if first is None:
                return None
            if last_failed > over or first > over:
                longest = max(longest, first - over)
        return longest

    def slowest(self):
        return max((a[2] - a[1] for a in self.attempts), default=0)

    def finish(self):
        self.stop.set()
        for t in self.threads:
            t.join(100)

    def check(self, sql):
        """Counts against what the database holds; sql(text) gives its answer."""
        stored = {}
        tenants = {}
        for line in sql("SELECT name, count(*), count(DISTINCT tenant_id), min(tenant_id) FROM projects GROUP BY name").splitlines():
            name, count, _, tenant = line.rsplit("|", 3)
            stored[name] = int(count)
            tenants.setdefault(name.split(" ")[0], set()).add(tenant)
        hung = [a for a in self.attempts if a[2] - a[1] > DEADLINE]
        return {
            "requests": len(self.attempts),
            "failed": sum(not a[3] for a in self.attempts),
            "lost": sum(name not in stored for name in self.acknowledged),
            "duplicated": sum(count > 1 for count in stored.values()),
            "wrong": len(self.wrong) + sum(name in stored for name in self.refused) + sum(n not in self.attempted for n in stored)
                     + sum(len(t) > 1 for t in tenants.values()),
            "hung": len(hung) + len(self.open),
        }
