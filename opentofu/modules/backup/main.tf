# Where backups go that Cloud SQL does not make itself: pgBackRest's repository for Citus and the directory,
# and Backup for GKE for the cluster's objects.

variable "project" {
  description = "Project id."
  type        = string
}

variable "location" {
  description = "Where the backups are: a region other than the cluster's, or a multi-region such as EU."
  type        = string
}

variable "region" {
  description = "Region of the cluster."
  type        = string
}

variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "cluster" {
  description = "Id of the GKE cluster."
  type        = string
}

variable "namespace" {
  description = "Namespace whose objects and volumes are backed up."
  type        = string
}

variable "key" {
  description = "Id of the key of Backup for GKE, in the cluster's region."
  type        = string
}

variable "writers" {
  description = "Principals that write and read the repository."
  type        = list(string)
}

variable "readers" {
  description = "Principals that only read the repository: an environment that is made of its backups."
  type        = list(string)
  default     = []
}

variable "days" {
  description = "Days that backups of the cluster's objects are kept. pgBackRest has its own count."
  type        = number
}

data "google_project" "this" {
  project_id = var.project
}

# A key where the bucket is: a bucket can only use one of its own location.
resource "google_kms_key_ring" "this" {
  project  = var.project
  name     = "${var.name}-backups"
  location = lower(var.location)
}

resource "google_kms_crypto_key" "this" {
  name                       = "repository"
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "7776000s" # 90 days
  destroy_scheduled_duration = "2592000s" # 30 days to think again: without its key a backup is lost
}

resource "google_kms_crypto_key_iam_member" "storage" {
  crypto_key_id = google_kms_crypto_key.this.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${data.google_project.this.number}@gs-project-accounts.iam.gserviceaccount.com"
}

resource "google_storage_bucket" "repository" {
  project                     = var.project
  name                        = "${var.project}-pgbackrest"
  location                    = var.location
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  encryption {
    default_kms_key_name = google_kms_crypto_key.this.id
  }
  # Not a retention policy: pgBackRest writes backup.info and archive.info again and again. What a writer
  # deletes or overwrites can be brought back for as long as this, and a writer cannot change the bucket.
  soft_delete_policy {
    retention_duration_seconds = 2592000
  }
  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
    condition {
      age = 30
    }
  }
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }
  depends_on = [google_kms_crypto_key_iam_member.storage]
}

resource "google_storage_bucket_iam_member" "writers" {
  for_each = toset(var.writers)
  bucket   = google_storage_bucket.repository.name
  role     = "roles/storage.objectAdmin"
  member   = each.value
}

resource "google_storage_bucket_iam_member" "readers" {
  for_each = toset(var.readers)
  bucket   = google_storage_bucket.repository.name
  role     = "roles/storage.objectViewer"
  member   = each.value
}

resource "google_gke_backup_backup_plan" "this" {
  project  = var.project
  name     = var.name
  cluster  = var.cluster
  location = var.region

  backup_config {
    # Databases are backed up by pgBackRest at one instant; snapshots of their disks would not be.
    include_volume_data = false
    include_secrets     = false # they are in Secret Manager
    encryption_key {
      gcp_kms_encryption_key = var.key
    }
    selected_namespaces {
      namespaces = [var.namespace]
    }
  }
  backup_schedule {
    cron_schedule = "30 2 * * *"
  }
  retention_policy {
    backup_retain_days      = var.days
    backup_delete_lock_days = min(var.days, 7)
  }
}

output "bucket" {
  description = "Name of pgBackRest's bucket."
  value       = google_storage_bucket.repository.name
}
