# How many database nodes a Citus cluster needs. No provider: pure arithmetic, tested by `tofu test`.
#
# Every Patroni group (the coordinator's and each worker's) has its pods on different nodes and, as long as
# there are enough zones, in different zones. A node holds one database pod: databases do not share memory.

variable "workers" {
  description = "Worker groups; 0: no Citus."
  type        = number
  validation {
    condition     = var.workers >= 0 && var.workers <= 256 && floor(var.workers) == var.workers
    error_message = "workers must be a whole number from 0 to 256."
  }
}

variable "worker_replicas" {
  description = "Pods of a worker group, its leader included: 2, or 3 to lose one without losing redundancy."
  type        = number
  default     = 2
  validation {
    condition     = contains([2, 3], var.worker_replicas)
    error_message = "worker_replicas must be 2 or 3: one pod has no standby."
  }
}

variable "coordinator_replicas" {
  description = "Pods of the coordinator's group, its leader included."
  type        = number
  default     = 3
  validation {
    condition     = contains([2, 3], var.coordinator_replicas)
    error_message = "coordinator_replicas must be 2 or 3: one pod has no standby."
  }
}

variable "zones" {
  description = "Zones of the region that nodes are in."
  type        = number
  validation {
    condition     = var.zones >= 2 && var.zones <= 4
    error_message = "zones must be 2 to 4: with one zone a failure of it takes leader and standby."
  }
}

variable "spare_per_zone" {
  description = "Nodes kept free in each zone, for a pod to move to while its node is replaced."
  type        = number
  default     = 0
}

locals {
  on          = var.workers > 0
  coordinator = local.on ? var.coordinator_replicas : 0
  pods        = local.coordinator + var.workers * var.worker_replicas
}

output "coordinator_nodes_per_zone" {
  description = "Nodes of the coordinator's pool in each zone."
  value       = ceil(local.coordinator / var.zones)
}

output "worker_nodes_per_zone" {
  description = "Nodes of the workers' pool in each zone."
  value       = local.on ? ceil(var.workers * var.worker_replicas / var.zones) + var.spare_per_zone : 0
}

output "pods" {
  description = "Database pods in all."
  value       = local.pods
}
