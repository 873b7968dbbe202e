terraform {
  # Write-only arguments and variables in the backend: Terraform has the first only since 1.11 and not the
  # second (docs/adr/0013-opentofu.md).
  required_version = ">= 1.11.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.9"
    }
  }

  # The bucket is made by opentofu/bootstrap. It locks: two cannot apply at once.
  backend "gcs" {
    bucket = "${var.project}-tofu-state"
    prefix = "environment"
  }
}

provider "google" {
  project               = var.project
  region                = var.region
  billing_project       = var.project
  user_project_override = true
  default_labels        = { platform = "coditect", environment = var.environment }
}
