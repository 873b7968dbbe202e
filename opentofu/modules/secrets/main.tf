# Keys of ours (CMEK) for all that is stored, and the secrets that programs read.
#
# A password is generated while it is applied, goes to Secret Manager as a write-only argument, and is in
# neither the plan nor the state (opentofu.org/docs/language/ephemerality/write-only-attributes).

data "google_project" "this" {
  project_id = var.project
}

# --- Keys ---

locals {
  number = data.google_project.this.number
  # Which of Google's service agents may use which key.
  keys = {
    cluster  = ["container-engine-robot.iam.gserviceaccount.com"]
    disks    = ["compute-system.iam.gserviceaccount.com"]
    sql      = ["gcp-sa-cloud-sql.iam.gserviceaccount.com"]
    redis    = ["cloud-redis.iam.gserviceaccount.com"]
    secrets  = ["gcp-sa-secretmanager.iam.gserviceaccount.com"]
    backups  = ["gcp-sa-gkebackup.iam.gserviceaccount.com"]
    logs     = ["gcp-sa-logging.iam.gserviceaccount.com"]
    registry = ["gcp-sa-artifactregistry.iam.gserviceaccount.com"]
  }
  users = merge([
    for key, domains in local.keys : {
      for domain in domains : "${key}/${domain}" => { key = key, member = "serviceAccount:service-${local.number}@${domain}" }
    }
  ]...)
}

resource "google_kms_key_ring" "this" {
  project  = var.project
  name     = var.name
  location = var.region
}

resource "google_kms_crypto_key" "this" {
  for_each                   = local.keys
  name                       = each.key
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "7776000s" # 90 days
  destroy_scheduled_duration = "2592000s" # 30 days to think again: without its key a backup is lost

  version_template {
    algorithm        = "GOOGLE_SYMMETRIC_ENCRYPTION"
    protection_level = var.protection_level
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each      = local.users
  crypto_key_id = google_kms_crypto_key.this[each.value.key].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value.member
}

# --- Secrets ---

locals {
  # The last three are Patroni's.
  roles = toset(["admin", "app", "operator", "maintenance", "migrator", "import", "identity", "cluster", "superuser", "replication", "rewind"])
  # Made and put in by scripts/deploy.sh, once: replacing them by accident would void every API key, or make all
  # that Ory Hydra has stored unreadable.
  kept = toset(["coditect-sealing-keys", "coditect-identity-secrets"])
}

resource "google_secret_manager_secret" "password" {
  for_each  = local.roles
  project   = var.project
  secret_id = "coditect-database-${each.key}-password"

  replication {
    user_managed {
      replicas {
        location = var.region
        customer_managed_encryption {
          kms_key_name = google_kms_crypto_key.this["secrets"].id
        }
      }
    }
  }
  depends_on = [google_kms_crypto_key_iam_member.agents]
}

# In a connection string nothing of these needs escaping.
ephemeral "random_password" "password" {
  for_each = local.roles
  length   = 43
  special  = false
}

resource "google_secret_manager_secret_version" "password" {
  for_each               = local.roles
  secret                 = google_secret_manager_secret.password[each.key].id
  secret_data_wo         = ephemeral.random_password.password[each.key].result
  secret_data_wo_version = lookup(var.password_versions, each.key, 1)
}

resource "google_secret_manager_secret" "kept" {
  for_each            = local.kept
  project             = var.project
  secret_id           = each.key
  deletion_protection = true

  replication {
    user_managed {
      replicas {
        location = var.region
        customer_managed_encryption {
          kms_key_name = google_kms_crypto_key.this["secrets"].id
        }
      }
    }
  }
  depends_on = [google_kms_crypto_key_iam_member.agents]
}

moved {
  from = google_secret_manager_secret.sealing_keys
  to   = google_secret_manager_secret.kept["coditect-sealing-keys"]
}
