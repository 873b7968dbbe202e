# The network: nothing has a public address, what goes out goes through NAT, what comes in goes through the
# load balancer.

resource "google_compute_network" "this" {
  project                 = var.project
  name                    = var.name
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "nodes" {
  project                  = var.project
  name                     = "${var.name}-nodes"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.ranges.nodes
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = var.ranges.pods
  }
  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = var.ranges.services
  }
  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = var.flow_log_sampling
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_subnetwork" "service_connect" {
  project                  = var.project
  name                     = "${var.name}-service-connect"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.ranges.service_connect
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = var.flow_log_sampling
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# --- Outgoing ---

resource "google_compute_router" "this" {
  project = var.project
  name    = var.name
  region  = var.region
  network = google_compute_network.this.id
}

resource "google_compute_address" "nat" {
  count   = var.nat_addresses
  project = var.project
  name    = "${var.name}-nat-${count.index}"
  region  = var.region
}

resource "google_compute_router_nat" "this" {
  project                             = var.project
  name                                = var.name
  region                              = var.region
  router                              = google_compute_router.this.name
  nat_ip_allocate_option              = var.nat_addresses > 0 ? "MANUAL_ONLY" : "AUTO_ONLY"
  nat_ips                             = google_compute_address.nat[*].self_link
  source_subnetwork_ip_ranges_to_nat  = "LIST_OF_SUBNETWORKS"
  enable_dynamic_port_allocation      = true
  enable_endpoint_independent_mapping = false
  min_ports_per_vm                    = 64
  max_ports_per_vm                    = 4096

  subnetwork {
    name                    = google_compute_subnetwork.nodes.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# --- Managed services ---

# Cloud SQL is reached by Private Service Access: a range of ours, peered with Google's network.
resource "google_compute_global_address" "private_services" {
  project       = var.project
  name          = "${var.name}-private-services"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  address       = split("/", var.ranges.private_services)[0]
  prefix_length = tonumber(split("/", var.ranges.private_services)[1])
  network       = google_compute_network.this.id
}

resource "google_service_networking_connection" "private_services" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.private_services.name]
  # Deleting a peering that a just deleted instance still uses fails for hours.
  deletion_policy = "ABANDON"
}

# Memorystore is reached by Private Service Connect: it takes addresses in a subnetwork of ours.
resource "google_network_connectivity_service_connection_policy" "redis" {
  project       = var.project
  name          = "${var.name}-redis"
  location      = var.region
  network       = google_compute_network.this.id
  service_class = "gcp-memorystore-redis"

  psc_config {
    subnetworks = [google_compute_subnetwork.service_connect.id]
  }
}

# Names of Google lead to four addresses, so that a network policy can name them
# (cloud.google.com/vpc/docs/configure-private-google-access#config-options).
resource "google_dns_managed_zone" "google" {
  project     = var.project
  name        = "${var.name}-googleapis"
  dns_name    = "googleapis.com."
  description = "Google's APIs at private.googleapis.com"
  visibility  = "private"

  private_visibility_config {
    networks {
      network_url = google_compute_network.this.id
    }
  }
}

resource "google_dns_record_set" "google" {
  for_each = {
    "private.googleapis.com." = { type = "A", data = ["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"] }
    "*.googleapis.com."       = { type = "CNAME", data = ["private.googleapis.com."] }
  }
  project      = var.project
  managed_zone = google_dns_managed_zone.google.name
  name         = each.key
  type         = each.value.type
  ttl          = 300
  rrdatas      = each.value.data
}

# --- Firewall ---

# The network denies all that is not allowed anyway; this rule writes down what was.
resource "google_compute_firewall" "deny_ingress" {
  project       = var.project
  name          = "${var.name}-deny-ingress"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 65534
  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }
  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

# Google's load balancers and their health checks, which come from these two ranges
# (cloud.google.com/load-balancing/docs/health-checks#firewall_rules), to Kong's pods.
resource "google_compute_firewall" "allow_load_balancer" {
  project            = var.project
  name               = "${var.name}-allow-load-balancer"
  network            = google_compute_network.this.id
  direction          = "INGRESS"
  priority           = 1000
  source_ranges      = ["35.191.0.0/16", "130.211.0.0/22"]
  destination_ranges = [var.ranges.pods]

  allow {
    protocol = "tcp"
    ports    = ["8100", "8443"]
  }
}

# GKE opens 443 and 10250 of the nodes to its control plane by itself; the admission webhooks of
# cert-manager, External Secrets, Kong and the Prometheus operator listen on other ports.
resource "google_compute_firewall" "allow_webhooks" {
  project            = var.project
  name               = "${var.name}-allow-webhooks"
  network            = google_compute_network.this.id
  direction          = "INGRESS"
  priority           = 1000
  source_ranges      = [var.ranges.control_plane]
  destination_ranges = [var.ranges.pods]

  allow {
    protocol = "tcp"
    ports    = ["8080", "8443", "9443", "10250"]
  }
}
