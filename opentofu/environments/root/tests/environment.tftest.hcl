# Plans an environment with its own values, without a cloud: what only the providers would know is made up.
# Run in an environment's folder: `tofu test`.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_service_account" {
    defaults = { member = "serviceAccount:mocked@mock-project.iam.gserviceaccount.com", email = "mocked@mock-project.iam.gserviceaccount.com", name = "projects/mock-project/serviceAccounts/mocked@mock-project.iam.gserviceaccount.com" }
  }
  mock_resource "google_compute_network" {
    defaults = { id = "projects/mock-project/global/networks/mock", self_link = "projects/mock-project/global/networks/mock" }
  }
  mock_resource "google_sql_database_instance" {
    defaults = { private_ip_address = "10.16.240.3", server_ca_cert = [{ cert = "-----BEGIN CERTIFICATE-----", common_name = "", create_time = "", expiration_time = "", sha1_fingerprint = "" }] }
  }
  mock_resource "google_certificate_manager_dns_authorization" {
    defaults = { dns_resource_record = [{ name = "_acme.api.example.com.", type = "CNAME", data = "mock.authorize.certificatemanager.goog." }] }
  }
  mock_resource "google_redis_cluster" {
    defaults = { discovery_endpoints = [{ address = "10.16.128.2", port = 6379, psc_config = [{ network = "mock" }] }], managed_server_ca = [{ ca_certs = [{ certificates = ["-----BEGIN CERTIFICATE-----"] }] }] }
  }
  mock_resource "google_secret_manager_secret_version" {
    defaults = { version = "1" }
  }
}

mock_provider "random" {}

variables {
  billing_account = "ABCDEF-ABCDEF-ABCDEF"
}

run "plan" {
  command = plan
  assert {
    condition     = output.kubernetes_environment.CLUSTER == "coditect-${var.environment}" && output.kubernetes_environment.PROJECT == var.project
    error_message = "The cluster is not named after the environment."
  }
  assert {
    condition     = output.image_repository == "${var.region}-docker.pkg.dev/${var.project}/coditect"
    error_message = "Images are not where the pipeline pushes them: ${output.image_repository}."
  }
}

run "backups_in_the_same_region" {
  command = plan
  variables {
    backup = { location = "EUROPE-WEST1", days = 7 }
  }
  expect_failures = [var.backup]
}

run "zones_of_another_region" {
  command = plan
  variables {
    zones = ["us-east1-b", "us-east1-c", "us-east1-d"]
  }
  expect_failures = [var.zones]
}

run "production_without_protection" {
  command = plan
  variables {
    environment = "production"
    protected   = false
    cloudsql    = { vcpu = 2, memory_gb = 8, disk_gb = 10, high_availability = true, connections = 100 }
    redis       = { shards = 1, replicas = 1, node_type = "REDIS_STANDARD_SMALL" }
  }
  expect_failures = [var.protected]
}

run "production_without_standbys" {
  command = plan
  variables {
    environment = "production"
    protected   = true
    cloudsql    = { vcpu = 2, memory_gb = 8, disk_gb = 10, high_availability = false, connections = 100 }
    redis       = { shards = 1, replicas = 0, node_type = "REDIS_STANDARD_SMALL" }
  }
  expect_failures = [var.cloudsql, var.redis]
}
