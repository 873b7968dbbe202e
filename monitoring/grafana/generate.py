"""Writes the Grafana dashboards in dashboards/. Change them here, not there.

Usage: monitoring/grafana/generate.py [--check]     --check: exit code 1 when they differ
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WINDOW = "[$__rate_interval]"


class Dashboard:
    """Rows of panels, 24 columns wide; panels get their places in the order in which they are added."""

    def __init__(self, uid, title, description):
        self.panels, self.x, self.y, self.height = [], 0, 0, 0
        self.meta = {"uid": uid, "title": title, "description": description}

    def row(self, title):
        self._next_line()
        self.panels.append({"id": len(self.panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                            "gridPos": {"x": 0, "y": self.y, "w": 24, "h": 1}})
        self.y += 1
        return self

    def graph(self, title, unit, *queries, width=12, stack=False, description=""):
        """queries: (legend, expression)."""
        return self._panel("timeseries", title, unit, queries, width, 8, description,
                           fieldConfig={"drawStyle": "line", "fillOpacity": 25 if stack else 5, "showPoints": "never",
                                        "stacking": {"mode": "normal" if stack else "none"}},
                           options={"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
                                    "tooltip": {"mode": "multi", "sort": "desc"}})

    def number(self, title, unit, expression, width=4, thresholds=(), description=""):
        """thresholds: (from, colour)."""
        steps = [{"color": "green", "value": None}] + [{"color": c, "value": v} for v, c in thresholds]
        return self._panel("stat", title, unit, [("", expression)], width, 4, description, thresholds={"mode": "absolute", "steps": steps},
                           options={"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"})

    def _next_line(self):
        if self.x:
            self.x, self.y, self.height = 0, self.y + self.height, 0

    def _panel(self, kind, title, unit, queries, width, height, description, options, fieldConfig=None, thresholds=None):
        if self.x + width > 24:
            self._next_line()
        defaults = {"unit": unit, "min": 0}
        if fieldConfig:
            defaults["custom"] = fieldConfig
        if thresholds:
            defaults["thresholds"] = thresholds
        self.panels.append({
            "id": len(self.panels) + 1, "type": kind, "title": title, "description": description, "datasource": SOURCE,
            "gridPos": {"x": self.x, "y": self.y, "w": width, "h": height}, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
            "targets": [{"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
                        for n, (legend, expression) in enumerate(queries)]})
        self.x, self.height = self.x + width, max(self.height, height)
        return self

    def json(self):
        return {**self.meta, "schemaVersion": 39, "editable": False, "refresh": "30s", "timezone": "utc", "tags": ["coditect"],
                "time": {"from": "now-3h", "to": "now"}, "panels": self.panels,
                "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source", "hide": 0}]}}


def api():
    d = Dashboard("coditect-api", "Coditect / API", "Rate, errors and duration of requests, and the objectives they are held to.")
    d.row("Objectives: 99.9 % without a 5xx, 99 % within 250 ms, over 30 days")
    d.number("Instances up", "none", 'sum(up{job="coditect-api"})')
    d.number("Requests", "reqps", "sum(coditect:http_requests:rate5m)")
    d.number("Failed, 1 h", "percentunit", "coditect:http_errors:ratio_rate1h", thresholds=[(0.001, "orange"), (0.0144, "red")])
    d.number("Failed, 6 h", "percentunit", "coditect:http_errors:ratio_rate6h", thresholds=[(0.001, "orange"), (0.006, "red")])
    d.number("Slow, 1 h", "percentunit", "coditect:http_slow:ratio_rate1h", thresholds=[(0.01, "orange"), (0.144, "red")])
    d.number("Slow, 6 h", "percentunit", "coditect:http_slow:ratio_rate6h", thresholds=[(0.01, "orange"), (0.06, "red")])
    d.row("Requests")
    d.graph("Requests by answer", "reqps", ("{{status}}", f"sum by (status) (rate(coditect_http_requests_total{WINDOW}))"), stack=True)
    d.graph("Requests by route", "reqps", ("{{route}}", f"topk(10, sum by (route) (rate(coditect_http_requests_total{WINDOW})))"))
    d.graph("Failed by route", "reqps", ("{{route}}", f'sum by (route) (rate(coditect_http_requests_total{{status="5xx"}}{WINDOW}))'))
    d.graph("Refused or wrong by route", "reqps", ("{{route}}", f'topk(10, sum by (route) (rate(coditect_http_requests_total{{status="4xx"}}{WINDOW})))'))
    for share, name in ((0.5, "Half"), (0.99, "99 %")):
        d.graph(f"{name} of the requests take at most", "s",
                ("{{route}}", f"topk(10, histogram_quantile({share}, sum by (route, le) (rate(coditect_http_request_seconds_bucket{WINDOW}))))"))
    d.row("What a request needs")
    d.graph("Requests that are worked on", "none", ("{{instance}}", "sum by (instance) (coditect_http_requests_in_flight)"))
    d.graph("Open HTTP connections", "none", ("{{instance}}", "sum by (instance) (coditect_http_connections)"))
    d.graph("Where tenants were found", "ops", ("{{from}}", f"sum by (from) (rate(coditect_directory_lookups_total{WINDOW}))"), stack=True)
    d.graph("Redis", "ops", ("no answer", f"sum(rate(coditect_redis_failures_total{WINDOW}))"),
            ("limits counted alone", f"sum(rate(coditect_limit_local_total{WINDOW}))"))
    d.graph("Connections to Redis", "none", ("{{instance}}", "sum by (instance) (coditect_redis_connections)"))
    return d


def database():
    d = Dashboard("coditect-database", "Coditect / Database and shards", "What the API sees of PostgreSQL, by pool and statement, and the shards of a Citus cell.")
    d.row("Pools")
    d.graph("Connections in use", "none", ("{{pool}}", "sum by (pool) (coditect_db_connections_in_use)"))
    d.graph("Open connections", "none", ("{{pool}}", "sum by (pool) (coditect_db_connections)"))
    d.graph("Callers that wait", "none", ("{{pool}}", "sum by (pool) (coditect_db_waiting)"))
    d.graph("99 % wait at most", "s", ("{{pool}}", "coditect:db_wait_seconds:p99_5m"))
    d.graph("Refused and lost", "ops", ("{{pool}} refused", f"sum by (pool) (rate(coditect_db_refused_total{WINDOW}))"),
            ("{{pool}} lost", f"sum by (pool) (rate(coditect_db_lost_total{WINDOW}))"))
    d.graph("Loops without a database", "none", ("{{pool}}", "sum by (pool) (coditect_db_away)"),
            description="They cannot connect, or refuse callers because the server does not answer.")
    d.row("Statements")
    d.graph("Statements a second", "ops", ("{{statement}}", f"topk(10, sum by (statement) (rate(coditect_db_statement_seconds_count{WINDOW})))"))
    d.graph("99 % take at most", "s", ("{{statement}}", "topk(10, coditect:db_statement_seconds:p99_5m)"))
    d.graph("Time in the database by statement", "percentunit",
            ("{{statement}}", f"topk(10, sum by (statement) (rate(coditect_db_statement_seconds_sum{WINDOW})))"), stack=True)
    d.graph("Largest server process", "bytes", ("{{pool}}", "max by (pool) (coditect_db_backend_memory_bytes)"))
    d.row("Citus")
    d.graph("Bytes of tenants by worker", "bytes", ("{{node}}", "coditect:cell_bytes:by_node"), stack=True)
    d.graph("Shards by worker", "none", ("{{node}}", "max by (node) (coditect_cell_shards)"), stack=True)
    d.graph("The map of shards", "ops", ("new", f"sum(rate(coditect_cell_map_changes_total{WINDOW}))"),
            ("cannot be read", f"sum(rate(coditect_cell_map_failures_total{WINDOW}))"))
    return d


def business():
    d = Dashboard("coditect-business", "Coditect / Tenants and users", "Who uses the service.")
    d.number("Active tenants", "none", 'max(coditect_tenants{state="active"})', width=6)
    d.number("Users", "none", "max(coditect_users)", width=6)
    d.number("Signups, 24 h", "none", 'sum(increase(coditect_http_requests_total{route="/v1/signup",status="2xx"}[24h]))', width=6)
    d.number("Suspended tenants", "none", 'max(coditect_tenants{state="suspended"})', width=6)
    d.row("Growth")
    d.graph("Tenants by state", "none", ("{{state}}", "max by (state) (coditect_tenants)"), stack=True)
    d.graph("Users", "none", ("users", "max(coditect_users)"))
    d.graph("Signups an hour", "none", ("{{status}}", 'sum by (status) (increase(coditect_http_requests_total{route="/v1/signup"}[1h]))'), stack=True)
    d.graph("Sign-ins an hour", "none", ("{{status}}", 'sum by (status) (increase(coditect_http_requests_total{route="/v1/sessions"}[1h]))'), stack=True)
    return d


def kubernetes():
    d = Dashboard("coditect-kubernetes", "Coditect / Kubernetes", "Pods, sizes, the databases that Patroni keeps, and backups. Needs kube-state-metrics and cert-manager.")
    at = 'namespace=~"coditect-.*"'
    d.number("Pods not ready", "none", f'sum(kube_pod_status_ready{{{at},condition="false"}} * on (namespace, pod) group_left () (kube_pod_status_phase{{phase=~"Running|Pending"}} == 1)) or vector(0)',
             thresholds=[(1, "red")])
    d.number("Restarts, 1 h", "none", f"sum(increase(kube_pod_container_status_restarts_total{{{at}}}[1h]))", thresholds=[(1, "orange"), (5, "red")])
    d.number("Groups without a leader", "none", "count(max by (namespace, citus_group) (patroni_primary) == 0) or vector(0)", thresholds=[(1, "red")])
    d.number("Newest restore point", "s", 'time() - max(kube_cronjob_status_last_successful_time{cronjob="citus-restore-point"})', thresholds=[(1200, "orange"), (1800, "red")])
    d.number("Newest backup", "s", 'time() - max(kube_cronjob_status_last_successful_time{cronjob="citus-backup"})', thresholds=[(93600, "orange"), (129600, "red")])
    d.number("Next certificate to end", "s", f"min(certmanager_certificate_expiration_timestamp_seconds{{{at}}}) - time()", description="Renewed 30 days before.")
    d.row("The API's pods")
    d.graph("Pods: wanted, there, most", "none", ("wanted", f'sum(kube_horizontalpodautoscaler_status_desired_replicas{{{at}}})'),
            ("there", f'sum(kube_horizontalpodautoscaler_status_current_replicas{{{at}}})'), ("most", f'sum(kube_horizontalpodautoscaler_spec_max_replicas{{{at}}})'))
    d.graph("Share of the quota in use", "percentunit",
            ("{{resource}}", f'max by (resource) (kube_resourcequota{{{at},type="used"}}) / max by (resource) (kube_resourcequota{{{at},type="hard"}} > 0)'))
    d.row("Databases")
    d.graph("Leaders by group", "none", ("group {{citus_group}}", "sum by (citus_group) (patroni_primary)"))
    d.graph("Behind the leader", "bytes", ("{{pod}}", "max by (namespace, citus_group) (patroni_xlog_location) - on (namespace, citus_group) group_right () "
            "(patroni_xlog_replayed_location and patroni_replica == 1)"))
    d.graph("Log written", "Bps", ("group {{citus_group}}", f"max by (citus_group) (rate(patroni_xlog_location{WINDOW}))"))
    d.graph("Failovers", "none", ("group {{citus_group}}", "max by (citus_group) (patroni_postgres_timeline)"), description="Each makes a new timeline.")
    d.row("Identity")
    d.graph("Requests to Hydra a second", "ops", ("{{code}}", f'sum by (code) (rate(http_requests_total{{job="hydra",{at}}}{WINDOW}))'), stack=True)
    d.graph("Tokens: 99 % take at most", "s", ("{{namespace}}", 'histogram_quantile(0.99, sum by (namespace, le) '
            f'(rate(http_response_time_seconds_bucket{{job="hydra",endpoint="/oauth2/token",{at}}}{WINDOW})))'))
    return d


def main():
    differ = []
    for dashboard in (api(), database(), business(), kubernetes()):
        path = f"{HERE}/dashboards/{dashboard.meta['uid']}.json"
        text = json.dumps(dashboard.json(), indent=1) + "\n"
        if "--check" in sys.argv:
            with open(path, encoding="utf-8") as f:
                if f.read() != text:
                    differ.append(path)
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    for path in differ:
        print(f"{path} is not what monitoring/grafana/generate.py writes", file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
