# A private regional cluster. Its API is reached by the DNS endpoint, which Google guards by IAM: no address
# has to be allowed, and a pipeline outside the network can deploy.

data "google_project" "this" {
  project_id = var.project
}

# --- What nodes may do ---

resource "google_service_account" "nodes" {
  project      = var.project
  account_id   = "${var.name}-nodes"
  display_name = "Nodes of ${var.name}"
}

# Logs, metrics and monitoring, nothing else (cloud.google.com/kubernetes-engine/docs/how-to/hardening-your-cluster).
resource "google_project_iam_member" "nodes" {
  project = var.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  project    = var.project
  location   = var.repository.location
  repository = var.repository.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

# --- The cluster ---

resource "google_container_cluster" "this" {
  project             = var.project
  name                = var.name
  location            = var.region
  node_locations      = var.zones
  deletion_protection = var.deletion_protection

  # Pools are resources of their own; the one that a cluster is born with is removed.
  remove_default_node_pool = true
  initial_node_count       = 1
  node_config {
    service_account = google_service_account.nodes.email
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }

  network           = var.network
  subnetwork        = var.subnetwork
  networking_mode   = "VPC_NATIVE"
  datapath_provider = "ADVANCED_DATAPATH" # Dataplane V2: it enforces network policies
  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }
  dns_config {
    cluster_dns       = "CLOUD_DNS"
    cluster_dns_scope = "CLUSTER_SCOPE"
  }
  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }
  service_external_ips_config {
    enabled = false # CVE-2020-8554
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = true
    master_ipv4_cidr_block  = var.control_plane_range
  }
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }
  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }
  enable_shielded_nodes       = true
  enable_intranode_visibility = true
  enable_legacy_abac          = false
  database_encryption {
    state    = "ENCRYPTED"
    key_name = var.keys.cluster
  }
  binary_authorization {
    evaluation_mode = "PROJECT_SINGLETON_POLICY_ENFORCE"
  }
  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_BASIC"
  }
  rbac_binding_config {
    enable_insecure_binding_system_authenticated   = false
    enable_insecure_binding_system_unauthenticated = false
  }
  node_pool_defaults {
    node_config_defaults {
      insecure_kubelet_readonly_port_enabled = "FALSE"
    }
  }

  release_channel {
    channel = var.release_channel
  }
  maintenance_policy {
    recurring_window {
      start_time = var.maintenance.start
      end_time   = var.maintenance.end
      recurrence = var.maintenance.recurrence
    }
    dynamic "maintenance_exclusion" {
      for_each = var.maintenance.exclusions
      content {
        exclusion_name = maintenance_exclusion.key
        start_time     = maintenance_exclusion.value.start
        end_time       = maintenance_exclusion.value.end
        exclusion_options {
          scope = "NO_MINOR_OR_NODE_UPGRADES"
        }
      }
    }
  }

  addons_config {
    http_load_balancing {
      disabled = false
    }
    horizontal_pod_autoscaling {
      disabled = false
    }
    dns_cache_config {
      enabled = true
    }
    gce_persistent_disk_csi_driver_config {
      enabled = true
    }
    gke_backup_agent_config {
      enabled = true
    }
  }
  vertical_pod_autoscaling {
    enabled = true # for its recommendations
  }
  cost_management_config {
    enabled = true
  }
  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER"]
  }
  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]
    managed_prometheus {
      enabled = false # ours is the one of monitoring/
    }
    advanced_datapath_observability_config {
      enable_metrics = true
      enable_relay   = false
    }
  }

  lifecycle {
    ignore_changes = [
      node_config,        # of the pool that is gone
      initial_node_count, # as well
    ]
  }
}

resource "google_container_node_pool" "this" {
  for_each       = var.pools
  project        = var.project
  cluster        = google_container_cluster.this.name
  location       = var.region
  node_locations = var.zones
  # A fixed name and create_before_destroy would collide (409); a new kind of node gets a new name.
  name = each.key

  initial_node_count = each.value.least
  autoscaling {
    min_node_count  = each.value.least
    max_node_count  = each.value.most
    location_policy = "BALANCED"
  }
  management {
    auto_repair  = true
    auto_upgrade = true
  }
  upgrade_settings {
    strategy        = "SURGE"
    max_surge       = 1
    max_unavailable = 0
  }

  node_config {
    machine_type      = each.value.machine_type
    image_type        = "COS_CONTAINERD"
    disk_size_gb      = each.value.disk_gb
    disk_type         = each.value.disk_type
    boot_disk_kms_key = var.keys.disks
    spot              = each.value.spot
    service_account   = google_service_account.nodes.email
    # IAM decides what the account may do; scopes are a relic (cloud.google.com/compute/docs/access/service-accounts#scopes_best_practice).
    oauth_scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    labels       = { "coditect.io/pool" = each.key }
    tags         = [var.name]
    metadata     = { disable-legacy-endpoints = "true" }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    kubelet_config {
      cpu_manager_policy                     = ""
      insecure_kubelet_readonly_port_enabled = "FALSE"
    }
    dynamic "taint" {
      for_each = each.value.taint ? [1] : []
      content {
        key    = "coditect.io/pool"
        value  = each.key
        effect = "NO_SCHEDULE"
      }
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count] # the autoscaler's, after the first day
  }
}

# --- Which images run ---

locals {
  image_pattern = "${var.repository.location}-docker.pkg.dev/${var.project}/${var.repository.name}/*"
}

resource "google_binary_authorization_policy" "this" {
  project                       = var.project
  global_policy_evaluation_mode = "ENABLE" # Google's own images

  # Images of the charts in kubernetes/charts run without a signature, which their makers do not give for us. Ours do as long as
  # there is no attestor.
  dynamic "admission_whitelist_patterns" {
    for_each = concat(var.chart_images, var.attestor == null ? [local.image_pattern] : [])
    content {
      name_pattern = admission_whitelist_patterns.value
    }
  }
  default_admission_rule {
    evaluation_mode         = var.attestor == null ? "ALWAYS_DENY" : "REQUIRE_ATTESTATION"
    enforcement_mode        = "ENFORCED_BLOCK_AND_AUDIT_LOG"
    require_attestations_by = var.attestor == null ? null : [var.attestor]
  }
}
