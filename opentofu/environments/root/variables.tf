# What environments differ in. Values are in environments/*/terraform.tfvars.json: JSON, so that
# scripts/scale.sh can change a number and `coditect plan` can read them.

variable "environment" {
  description = "dev, staging or production."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "environment must be dev, staging or production."
  }
}

variable "project" {
  description = "Project id. Each environment has a project of its own."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be a project id: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Region of everything but the backups."
  type        = string
}

variable "zones" {
  description = "Three zones of the region."
  type        = list(string)
  validation {
    condition     = length(distinct(var.zones)) == 3 && alltrue([for zone in var.zones : startswith(zone, "${var.region}-")])
    error_message = "zones must be three different zones of region ${var.region}."
  }
}

variable "host" {
  description = "Host name of the API."
  type        = string
}

variable "dns_zone" {
  description = "DNS zone to make, a suffix of host."
  type        = string
}

variable "emails" {
  description = "Who is told when the service cannot be reached or the budget is used up."
  type        = list(string)
}

variable "billing_account" {
  description = "Billing account whose budget is watched; null or empty: none. Give it in TF_VAR_billing_account, not in a file."
  type        = string
  default     = null
}

variable "budget" {
  description = "Budget of a month."
  type        = object({ amount = number, currency = optional(string, "USD") })
}

variable "protected" {
  description = "Whether cluster, databases and zone refuse to be destroyed."
  type        = bool
  default     = true
  validation {
    condition     = var.protected || var.environment == "dev"
    error_message = "protected may be false in dev only."
  }
}

variable "reserved_ranges" {
  description = "Ranges in use elsewhere that the network may not overlap, by name."
  type        = map(string)
  default     = {}
}

variable "release_channel" {
  description = "Release channel of GKE."
  type        = string
  default     = "REGULAR"
}

variable "maintenance" {
  description = "See modules/gke."
  type = object({
    start      = optional(string, "2026-01-03T02:00:00Z")
    end        = optional(string, "2026-01-03T08:00:00Z")
    recurrence = optional(string, "FREQ=WEEKLY;BYDAY=SA,SU")
    exclusions = optional(map(object({ start = string, end = string })), {})
  })
  default = {}
}

variable "attestor" {
  description = "Who must have signed an image; null: any image of our repository runs."
  type        = string
  default     = null
}

variable "application" {
  description = "Nodes of everything that is no database: least and most are in each zone."
  type        = object({ machine_type = string, least = number, most = number, spot = optional(bool, false) })
}

variable "cloudsql" {
  description = "The managed PostgreSQL of phase 1, and of the directory in all phases."
  type = object({
    vcpu              = number
    memory_gb         = number
    disk_gb           = number
    high_availability = bool
    connections       = number
    backups_kept      = optional(number, 14)
    log_days          = optional(number, 7)
  })
  validation {
    condition     = var.environment != "production" || var.cloudsql.high_availability
    error_message = "cloudsql.high_availability must be true in production."
  }
}

variable "citus" {
  description = "Phases 2 and 3; workers 0: phase 1."
  type = object({
    workers                  = number
    worker_replicas          = optional(number, 2)
    worker_machine_type      = optional(string, "n2-highmem-4")
    worker_disk_gb           = optional(number, 500)
    coordinator_machine_type = optional(string, "n2-standard-4")
    spare_per_zone           = optional(number, 0)
  })
  default = { workers = 0 }
}

variable "redis" {
  description = "Memorystore for Redis Cluster."
  type        = object({ shards = number, replicas = number, node_type = string })
  validation {
    condition     = var.environment != "production" || var.redis.replicas >= 1
    error_message = "redis.replicas must be 1 or more in production."
  }
}

variable "backup" {
  description = "Where backups are, and how long those of the cluster's objects are kept."
  type        = object({ location = string, days = number, readers = optional(list(string), []) })
  validation {
    condition     = lower(var.backup.location) != lower(var.region)
    error_message = "backup.location must not be ${var.region}: what destroys the region must not destroy its backups."
  }
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 90
}

variable "requests_per_minute" {
  description = "Requests of one address in a minute, above which the edge refuses it."
  type        = number
  default     = 3000
}

variable "nat_addresses" {
  description = "Static addresses of outgoing connections."
  type        = number
  default     = 0
}

variable "protection_level" {
  description = "SOFTWARE or HSM keys."
  type        = string
  default     = "SOFTWARE"
}

variable "password_versions" {
  description = "Raise a role's number to have its password generated anew."
  type        = map(number)
  default     = {}
}
