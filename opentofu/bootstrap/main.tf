# Run once for each project, by a person who owns it: `scripts/deploy.sh ENVIRONMENT --bootstrap`. Its state is in
# the bucket that it makes, so the first run has none and the second finds it there.

terraform {
  required_version = ">= 1.11.0"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = "~> 7.45"
    }
  }
  backend "gcs" {
    bucket = "${var.project}-tofu-state"
    prefix = "bootstrap"
  }
}

provider "google" {
  project               = var.project
  billing_project       = var.project
  user_project_override = true
}

provider "google-beta" {
  project               = var.project
  billing_project       = var.project
  user_project_override = true
}

variable "project" {
  description = "Project id."
  type        = string
}

variable "location" {
  description = "Where the state is."
  type        = string
  default     = "EU"
}

variable "repository" {
  description = "The GitHub repository whose workflows deploy, as owner/name."
  type        = string
}

variable "environment" {
  description = "dev, staging or production: also the name of the GitHub environment."
  type        = string
}

module "bootstrap" {
  source      = "../modules/bootstrap"
  project     = var.project
  location    = var.location
  repository  = var.repository
  environment = var.environment
}

output "state_bucket" {
  description = "Bucket of the state."
  value       = module.bootstrap.state_bucket
}

output "provider" {
  description = "For the pipeline's authentication."
  value       = module.bootstrap.provider
}

output "accounts" {
  description = "Accounts of the pipelines."
  value       = module.bootstrap.accounts
}
