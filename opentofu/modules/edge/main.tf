# The way in: an address, its name, its certificate, and the rules of Cloud Armor. The load balancer itself
# is made by GKE from the Gateway of kubernetes/ingress, which refers to these by name.

variable "project" {
  description = "Project id."
  type        = string
}

variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "host" {
  description = "Host name of the API."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.host))
    error_message = "host must be a host name in lower case, such as api.example.com."
  }
}

variable "zone" {
  description = "DNS zone to make: a suffix of `host`. Your registrar must delegate it to the name servers of the output."
  type        = string
  validation {
    condition     = var.host == var.zone || endswith(var.host, ".${var.zone}")
    error_message = "zone must be the host or a suffix of it: example.com for api.example.com."
  }
}

variable "requests_per_minute" {
  description = "Requests of one address in a minute, above which it is refused for a while."
  type        = number
}

variable "deletion_protection" {
  description = "Whether the zone refuses to be destroyed while it has records of others."
  type        = bool
}

resource "google_compute_global_address" "this" {
  project    = var.project
  name       = var.name
  ip_version = "IPV4"
}

# --- Name ---

resource "google_dns_managed_zone" "this" {
  project       = var.project
  name          = var.name
  dns_name      = "${var.zone}."
  description   = "Managed by OpenTofu"
  force_destroy = !var.deletion_protection

  dnssec_config {
    state         = "on"
    non_existence = "nsec3"
  }
  cloud_logging_config {
    enable_logging = true
  }
}

resource "google_dns_record_set" "api" {
  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${var.host}."
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.this.address]
}

# Only this authority may sign certificates of ours (RFC 8659).
resource "google_dns_record_set" "authority" {
  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${var.zone}."
  type         = "CAA"
  ttl          = 3600
  rrdatas      = ["0 issue \"pki.goog\"", "0 issuewild \";\""]
}

# --- Certificate ---

resource "google_certificate_manager_dns_authorization" "this" {
  project = var.project
  name    = var.name
  domain  = var.host
}

resource "google_dns_record_set" "authorization" {
  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = google_certificate_manager_dns_authorization.this.dns_resource_record[0].name
  type         = google_certificate_manager_dns_authorization.this.dns_resource_record[0].type
  ttl          = 300
  rrdatas      = [google_certificate_manager_dns_authorization.this.dns_resource_record[0].data]
}

resource "google_certificate_manager_certificate" "this" {
  project = var.project
  name    = var.name

  managed {
    domains            = [var.host]
    dns_authorizations = [google_certificate_manager_dns_authorization.this.id]
  }
}

resource "google_certificate_manager_certificate_map" "this" {
  project = var.project
  name    = var.name
}

resource "google_certificate_manager_certificate_map_entry" "this" {
  project      = var.project
  name         = var.name
  map          = google_certificate_manager_certificate_map.this.name
  certificates = [google_certificate_manager_certificate.this.id]
  hostname     = var.host
}

resource "google_compute_ssl_policy" "this" {
  project         = var.project
  name            = var.name
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

# --- Cloud Armor ---

resource "google_compute_security_policy" "this" {
  project = var.project
  name    = var.name
  type    = "CLOUD_ARMOR"

  adaptive_protection_config {
    layer_7_ddos_defense_config {
      enable = true
    }
  }
  advanced_options_config {
    json_parsing = "STANDARD"
    log_level    = "NORMAL"
  }

  # Known attacks on the protocol and on libraries. Not the SQL and script rules: what tenants write is
  # text, and the API neither builds SQL nor HTML from it; they would refuse tasks about SQL.
  rule {
    action      = "deny(403)"
    priority    = 1000
    description = "Request smuggling and header splitting"
    match {
      expr {
        expression = "evaluatePreconfiguredWaf('protocolattack-v33-stable', {'sensitivity': 1})"
      }
    }
  }
  rule {
    action      = "deny(403)"
    priority    = 1100
    description = "Log4j and others with a CVE"
    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary', {'sensitivity': 1})"
      }
    }
  }
  rule {
    action      = "throttle"
    priority    = 2000
    description = "One address"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = var.requests_per_minute
        interval_sec = 60
      }
    }
  }
  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Everything else"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

output "address" {
  description = "The public address."
  value       = google_compute_global_address.this.address
}

output "address_name" {
  description = "Name of the address, for the Gateway."
  value       = google_compute_global_address.this.name
}

output "certificate_map" {
  description = "Name of the certificate map, for the Gateway."
  value       = google_certificate_manager_certificate_map.this.name
}

output "security_policy" {
  description = "Name of the Cloud Armor policy, for the Gateway's backend policy."
  value       = google_compute_security_policy.this.name
}

output "ssl_policy" {
  description = "Name of the TLS policy, for the Gateway's policy."
  value       = google_compute_ssl_policy.this.name
}

output "name_servers" {
  description = "What your registrar must delegate the zone to."
  value       = google_dns_managed_zone.this.name_servers
}
