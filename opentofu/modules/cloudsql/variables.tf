variable "project" {
  description = "Project id."
  type        = string
}

variable "region" {
  description = "Region of the instance."
  type        = string
}

variable "name" {
  description = "Name of the instance. Once deleted, a name is blocked for a week."
  type        = string
}

variable "private_network" {
  description = "Id of the network, once Private Service Access is set up in it."
  type        = string
}

variable "range_name" {
  description = "Name of the allocated range the instance takes its address from; null: any."
  type        = string
  default     = null
}

variable "vcpu" {
  description = "Virtual CPUs: 1, or an even number up to 96."
  type        = number
  validation {
    condition     = var.vcpu == 1 || (var.vcpu % 2 == 0 && var.vcpu >= 2 && var.vcpu <= 96)
    error_message = "vcpu must be 1 or an even number from 2 to 96."
  }
}

variable "memory_gb" {
  description = "Memory in GiB: 0.9 to 6.5 for each virtual CPU."
  type        = number
  validation {
    condition     = var.memory_gb >= 3.75 && var.memory_gb >= 0.9 * var.vcpu && var.memory_gb <= 6.5 * var.vcpu && floor(var.memory_gb * 4) == var.memory_gb * 4
    error_message = "memory_gb must be 0.9 to 6.5 for each virtual CPU, at least 3.75, in steps of 0.25."
  }
}

variable "disk_gb" {
  description = "Size of the disk at first; it grows by itself."
  type        = number
}

variable "high_availability" {
  description = "Whether a standby in another zone takes over."
  type        = bool
}

variable "connections" {
  description = "max_connections."
  type        = number
}

variable "backups_kept" {
  description = "Daily backups kept."
  type        = number
  default     = 14
}

variable "log_days" {
  description = "Days that can be restored to the second, 1 to 7."
  type        = number
  default     = 7
  validation {
    condition     = var.log_days >= 1 && var.log_days <= 7
    error_message = "log_days must be 1 to 7."
  }
}

variable "key" {
  description = "Id of the key of its disk."
  type        = string
}

variable "admin_secret" {
  description = "Id of the secret that holds the administrator's password."
  type        = string
}

variable "admin_version" {
  description = "Version of that secret."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the instance refuses to be destroyed."
  type        = bool
}
