# Without a cloud: what only the providers would know is made up.

mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { member = "serviceAccount:mocked@mock-project.iam.gserviceaccount.com", name = "projects/mock-project/serviceAccounts/mocked@mock-project.iam.gserviceaccount.com" }
  }
  mock_resource "google_iam_workload_identity_pool" {
    defaults = { name = "projects/1/locations/global/workloadIdentityPools/github" }
  }
}
mock_provider "google-beta" {}

variables {
  project     = "coditect-dev"
  repository  = "example/coditect"
  environment = "dev"
}

run "plan" {
  command = plan
  assert {
    condition     = output.state_bucket == "coditect-dev-tofu-state"
    error_message = "The environments look for their state in PROJECT-tofu-state, not in ${output.state_bucket}."
  }
}
