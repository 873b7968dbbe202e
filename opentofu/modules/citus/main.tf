# Phases 2 and 3: where Citus runs. The databases themselves are StatefulSets (kubernetes/services/citus);
# this gives them nodes of their own and the right to write their backups.

variable "zones" {
  description = "Zones of the nodes."
  type        = list(string)
}

variable "workers" {
  description = "Worker groups; 0: no Citus."
  type        = number
}

variable "worker_replicas" {
  description = "Pods of a worker group, its leader included."
  type        = number
}

variable "spare_per_zone" {
  description = "Worker nodes kept free in each zone."
  type        = number
  default     = 0
}

variable "coordinator_machine_type" {
  description = "Machine type of the coordinator's nodes. Requests go straight to the workers: it is small."
  type        = string
}

variable "worker_machine_type" {
  description = "Machine type of the workers' nodes."
  type        = string
}

variable "workload_pool" {
  description = "Prefix of a Kubernetes service account as an IAM principal, from the module gke."
  type        = string
  default     = ""
}

variable "namespace" {
  description = "Namespace of the databases."
  type        = string
}

module "size" {
  source          = "../citus-size"
  workers         = var.workers
  worker_replicas = var.worker_replicas
  zones           = length(var.zones)
  spare_per_zone  = var.spare_per_zone
}

output "pools" {
  description = "Node pools for the module gke; none without workers."
  value = var.workers == 0 ? {} : {
    citus-coordinator = {
      machine_type = var.coordinator_machine_type
      least        = module.size.coordinator_nodes_per_zone
      most         = module.size.coordinator_nodes_per_zone
      taint        = true
    }
    citus-worker = {
      machine_type = var.worker_machine_type
      least        = module.size.worker_nodes_per_zone
      most         = module.size.worker_nodes_per_zone
      taint        = true
    }
  }
}

output "backup_writers" {
  description = "Principals that write database backups: the databases' own service account."
  value       = var.workers == 0 ? [] : ["${var.workload_pool}/subject/ns/${var.namespace}/sa/citus"]
}

output "pods" {
  description = "Database pods in all."
  value       = module.size.pods
}
