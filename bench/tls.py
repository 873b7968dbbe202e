"""What mutual TLS between a proxy and the API costs: the same reads through nginx, of which Kong is made, to the API in plain text and over TLS.

Three ways in turn: plain; TLS over connections that nginx keeps, as Kong does; TLS with a handshake for each request. Lines tls.kept
and tls.handshakes: requests per second over those of plain text; tls.kept_cpu: the API's CPU for a request over that of plain text.
"""
import argparse
import os
import shutil
import subprocess
import tempfile
import time

from harness import Cpu, Platform, SecondApi, free_port, interrupt_as_exit, median, note, run_load, save, table, tree, write_requests

PROXY = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream api {{ server 127.0.0.1:{api}; {keep} }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {scheme}://api; proxy_http_version 1.1; proxy_set_header Connection "{close}"; {tls} }} }}
}}
"""
KEEP = "keepalive 512;"  # Kong's own number


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificates(folder):
    """An authority, the API's and the proxy's, all of P-256 as cert-manager makes them here."""
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *new, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")
    for name, usage in (("backend", "serverAuth"), ("gateway", "clientAuth")):
        openssl(folder, "req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        with open(f"{folder}/{name}.ext", "w", encoding="ascii") as f:
            f.write(f"subjectAltName = DNS:{name}\nextendedKeyUsage = {usage}\n")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
    for name in os.listdir(folder):
        os.chmod(f"{folder}/{name}", 0o644)


class Proxy:
    def __init__(self, folder, name, api, tls, keep):
        self.port = free_port()
        place = f"{folder}/{name}"
        os.mkdir(place)
        os.chmod(place, 0o777)
        words = (f"proxy_ssl_certificate {folder}/gateway.crt; proxy_ssl_certificate_key {folder}/gateway.key; proxy_ssl_trusted_certificate {folder}/ca.crt; "
                 "proxy_ssl_verify on; proxy_ssl_name backend; proxy_ssl_protocols TLSv1.3;")
        with open(f"{place}/conf", "w", encoding="ascii") as f:
            f.write(PROXY.format(folder=place, api=api, port=self.port, scheme="https" if tls else "http", tls=words if tls else "", keep=KEEP if keep else "",
                                 close="" if keep else "close"))
        self.process = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", f"{place}/conf", "-p", place], stderr=subprocess.DEVNULL)

    def pids(self):
        return tree(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def main():
    interrupt_as_exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--no-save", action="store_true", help="do not keep the figures for docs/PERFORMANCE.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coditect-bench-", dir="/var/tmp") as folder, Platform() as platform:
        os.chmod(folder, 0o777)
        certificates(folder)
        requests = [("GET", f"/v1/tenants/{slug}", f"Bearer {key}", None) for slug, key in platform.import_tenants(1000)]
        write_requests(f"{folder}/requests.tsv", requests)
        management = free_port()
        tls = ("--http-management-port", str(management), "--http-tls-certificate-file", f"{folder}/backend.crt", "--http-tls-key-file", f"{folder}/backend.key",
               "--http-tls-client-ca-file", f"{folder}/ca.crt", "--http-tls-client-names", "gateway")
        with platform.second_api() as plain, SecondApi(platform, *tls, health=management) as secured:
            ways = {"plain": (plain, Proxy(folder, "plain", plain.port, False, True)), "kept": (secured, Proxy(folder, "kept", secured.port, True, True)),
                    "handshakes": (secured, Proxy(folder, "handshakes", secured.port, True, False))}
            time.sleep(0.5)
            rounds = {name: [] for name in ways}
            try:
                for number in range(args.rounds):
                    for name, (api, proxy) in ways.items():
                        cpu = Cpu(api=api.api_pids, proxy=proxy.pids)
                        done = run_load(f"127.0.0.1:{proxy.port}", f"{folder}/requests.tsv", args.seconds, args.connections)
                        used = cpu.used()
                        count = done["requests"] * (args.seconds + 1) / done["seconds"]  # the warm-up costs CPU too
                        rounds[name].append({"per_second": done["per_second"], "p99_us": done["p99_us"], **{f"{k}_us": v / count * 1e6 for k, v in used.items()}})
                        note(f"round {number + 1} {name}: {done['per_second']:,.0f}/s")
            finally:
                for _, proxy in ways.values():
                    proxy.stop()
    medians = {n: {k: median([r[k] for r in rs]) for k in rs[0]} for n, rs in rounds.items()}
    ratio = lambda name, key: median([r[key] / p[key] for r, p in zip(rounds[name], rounds["plain"])])  # noqa: E731
    figures = {"kept": ratio("kept", "per_second"), "handshakes": ratio("handshakes", "per_second"), "kept_cpu": ratio("kept", "api_us")}
    table(f"Reads through nginx, {args.connections} connections, medians of {args.rounds} rounds", ["way", "per second", "p99 us", "CPU us: API", "nginx"],
          [[n, m["per_second"], m["p99_us"], m["api_us"], m["proxy_us"]] for n, m in medians.items()])
    if not args.no_save:
        save("tls", {"rounds": rounds, "medians": medians, "figures": figures, "connections": args.connections})
    print()
    for name, value in figures.items():
        print(f"tls.{name} ratio={value:.3f}")


if __name__ == "__main__":
    main()
