# What the objects of kubernetes/ refer to.

# --- Images ---

resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = "coditect"
  format        = "DOCKER"
  kms_key_name  = module.secrets.keys["registry"]

  docker_config {
    immutable_tags = true
  }
  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }
  cleanup_policy_dry_run = false
  cleanup_policies {
    id     = "keep-the-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 50
    }
  }
  cleanup_policies {
    id     = "delete-the-old"
    action = "DELETE"
    condition {
      older_than = "90d"
    }
  }
}

# --- Where the servers are ---

# Addresses and certificates of authorities, which are no secrets: they are in the state.
locals {
  addresses = {
    coditect-database-url       = "postgresql://${module.cloudsql.address}:5432?sslmode=verify-ca&sslrootcert=/etc/coditect/authorities/database.pem"
    coditect-database-authority = module.cloudsql.authority
    coditect-redis-url          = "rediss+cluster://${module.redis.address}:${module.redis.port}"
    coditect-redis-authority    = join("\n", module.redis.authorities)
  }
}

resource "google_secret_manager_secret" "address" {
  for_each  = local.addresses
  project   = var.project
  secret_id = each.key

  replication {
    user_managed {
      replicas {
        location = var.region
        customer_managed_encryption {
          kms_key_name = module.secrets.keys["secrets"]
        }
      }
    }
  }
}

resource "google_secret_manager_secret_version" "address" {
  for_each    = local.addresses
  secret      = google_secret_manager_secret.address[each.key].id
  secret_data = each.value
}

# --- Who reads secrets ---

resource "google_service_account" "external_secrets" {
  project      = var.project
  account_id   = "external-secrets"
  display_name = "External Secrets in ${local.namespace}"
}

# The pool exists once a cluster with Workload Identity does.
resource "google_service_account_iam_member" "external_secrets" {
  service_account_id = google_service_account.external_secrets.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${local.namespace}/external-secrets]"
  depends_on         = [module.gke]
}

resource "google_secret_manager_secret_iam_member" "external_secrets" {
  for_each  = toset(concat(module.secrets.secret_ids, keys(local.addresses)))
  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.external_secrets.member
  depends_on = [
    google_secret_manager_secret.address,
    module.secrets,
  ]
}
