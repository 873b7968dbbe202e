# What must be there before an environment can be planned: services turned on, a bucket for the state, and
# accounts that a pipeline can take on without a key that could leak.

variable "project" {
  description = "Project id. The project exists and has a billing account."
  type        = string
}

variable "location" {
  description = "Where the state is: a region or multi-region."
  type        = string
}

variable "repository" {
  description = "The GitHub repository whose workflows deploy, as owner/name."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be owner/name, without wildcards: whoever matches it can deploy."
  }
}

variable "environment" {
  description = "The GitHub environment that jobs must run in to change something. Its reviewers approve."
  type        = string
}

locals {
  services = toset([
    "artifactregistry.googleapis.com", "billingbudgets.googleapis.com", "binaryauthorization.googleapis.com",
    "certificatemanager.googleapis.com", "cloudkms.googleapis.com", "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com", "container.googleapis.com", "containeranalysis.googleapis.com",
    "containersecurity.googleapis.com", "dns.googleapis.com", "gkebackup.googleapis.com", "iam.googleapis.com",
    "iamcredentials.googleapis.com", "logging.googleapis.com", "monitoring.googleapis.com",
    "networkconnectivity.googleapis.com", "redis.googleapis.com", "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com", "sqladmin.googleapis.com", "storage.googleapis.com", "sts.googleapis.com",
  ])
  # Service agents are made at first use; keys must be granted to them before.
  agents = toset([
    "artifactregistry.googleapis.com", "container.googleapis.com", "gkebackup.googleapis.com",
    "logging.googleapis.com", "redis.googleapis.com", "secretmanager.googleapis.com", "sqladmin.googleapis.com",
  ])
  # Plans read; deployments change. Neither is Owner or Editor. That these suffice is not proved here.
  # container.viewer: objects of the cluster, without secrets, by its DNS endpoint.
  readers = toset(["roles/viewer", "roles/container.viewer", "roles/iam.securityReviewer", "roles/secretmanager.viewer"])
  deployers = toset([
    "roles/artifactregistry.admin", "roles/binaryauthorization.policyEditor", "roles/certificatemanager.owner",
    "roles/cloudkms.admin", "roles/cloudsql.admin", "roles/compute.networkAdmin", "roles/compute.securityAdmin",
    "roles/container.admin", "roles/dns.admin", "roles/gkebackup.admin", "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser", "roles/logging.configWriter", "roles/monitoring.editor",
    "roles/networkconnectivity.consumerNetworkAdmin", "roles/redis.admin", "roles/resourcemanager.projectIamAdmin",
    "roles/secretmanager.admin", "roles/servicenetworking.networksAdmin", "roles/storage.admin",
  ])
}

resource "google_project_service" "this" {
  for_each           = local.services
  project            = var.project
  service            = each.value
  disable_on_destroy = false
}

resource "google_project_service_identity" "this" {
  provider   = google-beta # it is in this one only
  for_each   = local.agents
  project    = var.project
  service    = each.value
  depends_on = [google_project_service.this]
}

# --- State ---

resource "google_storage_bucket" "state" {
  project                     = var.project
  name                        = "${var.project}-tofu-state"
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
  soft_delete_policy {
    retention_duration_seconds = 2592000
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 50
      with_state         = "ARCHIVED"
    }
  }
  lifecycle {
    prevent_destroy = true # in every environment: without it nothing can be destroyed in order
  }
}

# --- Pipelines ---

resource "google_iam_workload_identity_pool" "github" {
  project                   = var.project
  workload_identity_pool_id = "github"
  display_name              = "GitHub Actions"
  depends_on                = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  # Without this condition every repository of GitHub could ask.
  attribute_condition = "assertion.repository == '${var.repository}'"
  attribute_mapping = {
    "google.subject"        = "assertion.sub"
    "attribute.repository"  = "assertion.repository"
    "attribute.environment" = "assertion.environment"
  }
  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account" "pipeline" {
  for_each     = { planner = "Plans, changes nothing", deployer = "Deploys" }
  project      = var.project
  account_id   = each.key
  display_name = each.value
}

resource "google_service_account_iam_member" "planner" {
  service_account_id = google_service_account.pipeline["planner"].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/attribute.repository/${var.repository}"
}

# Not any job of the repository: one that runs in the environment, which its reviewers let through.
resource "google_service_account_iam_member" "deployer" {
  service_account_id = google_service_account.pipeline["deployer"].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/subject/repo:${var.repository}:environment:${var.environment}"
}

resource "google_project_iam_member" "planner" {
  for_each = local.readers
  project  = var.project
  role     = each.value
  member   = google_service_account.pipeline["planner"].member
}

resource "google_project_iam_member" "deployer" {
  for_each = local.deployers
  project  = var.project
  role     = each.value
  member   = google_service_account.pipeline["deployer"].member
}

# Read, and a lock: a plan writes no state.
resource "google_storage_bucket_iam_member" "planner" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.pipeline["planner"].member
}

output "state_bucket" {
  description = "Bucket of the environments' state."
  value       = google_storage_bucket.state.name
}

output "provider" {
  description = "For the input workload_identity_provider of google-github-actions/auth."
  value       = google_iam_workload_identity_pool_provider.github.name
}

output "accounts" {
  description = "E-mail addresses of the pipelines' accounts."
  value       = { for name, account in google_service_account.pipeline : name => account.email }
}
