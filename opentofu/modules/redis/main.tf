# Memorystore for Redis Cluster: caches and limits. Nothing in it is the only copy of anything.

variable "project" {
  description = "Project id."
  type        = string
}

variable "region" {
  description = "Region of the cluster."
  type        = string
}

variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "network" {
  description = "Id of the network."
  type        = string
}

variable "connection_policy" {
  description = "Id of the policy that lets Memorystore take addresses in the network."
  type        = string
}

variable "shards" {
  description = "Number of shards."
  type        = number
  validation {
    condition     = var.shards >= 1 && var.shards <= 250 && floor(var.shards) == var.shards
    error_message = "shards must be a whole number from 1 to 250."
  }
}

variable "replicas" {
  description = "Replicas of a shard, 0 to 5."
  type        = number
}

variable "node_type" {
  description = "REDIS_SHARED_CORE_NANO, REDIS_STANDARD_SMALL, REDIS_HIGHMEM_MEDIUM or REDIS_HIGHMEM_XLARGE."
  type        = string
}

variable "key" {
  description = "Id of the key of its data."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the cluster refuses to be destroyed."
  type        = bool
}

resource "google_redis_cluster" "this" {
  project       = var.project
  name          = var.name
  region        = var.region
  shard_count   = var.shards
  replica_count = var.replicas
  node_type     = var.node_type
  # Memorystore's only credentials are IAM tokens that expire within the hour; who may connect is decided
  # by the network policies of the cluster, and TLS proves that the other side is Memorystore.
  authorization_mode          = "AUTH_MODE_DISABLED"
  transit_encryption_mode     = "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION"
  kms_key                     = var.key
  deletion_protection_enabled = var.deletion_protection

  psc_configs {
    network = var.network
  }
  zone_distribution_config {
    mode = "MULTI_ZONE"
  }
  redis_configs = {
    maxmemory-policy = "volatile-lru" # everything has an expiry
  }
  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"
      start_time {
        hours   = 3
        minutes = 0
        seconds = 0
        nanos   = 0
      }
    }
  }
}

output "address" {
  description = "Address of the discovery endpoint."
  value       = google_redis_cluster.this.discovery_endpoints[0].address
}

output "port" {
  description = "Port of the discovery endpoint."
  value       = google_redis_cluster.this.discovery_endpoints[0].port
}

output "authorities" {
  description = "PEM certificates of who signs the servers' certificates."
  value       = flatten(google_redis_cluster.this.managed_server_ca[*].ca_certs[*].certificates)
}

output "policy" {
  description = "The policy the addresses came from."
  value       = var.connection_policy
}
