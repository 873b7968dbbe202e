variable "project" {
  description = "Project id."
  type        = string
}

variable "region" {
  description = "Region of the cluster; its control plane is in several zones."
  type        = string
}

variable "zones" {
  description = "Zones of the nodes."
  type        = list(string)
}

variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "network" {
  description = "Id of the network."
  type        = string
}

variable "subnetwork" {
  description = "Id of the nodes' subnetwork, with secondary ranges `pods` and `services`."
  type        = string
}

variable "control_plane_range" {
  description = "A /28 for the control plane."
  type        = string
}

variable "release_channel" {
  description = "RAPID, REGULAR or STABLE."
  type        = string
  default     = "REGULAR"
  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE"], var.release_channel)
    error_message = "release_channel must be RAPID, REGULAR or STABLE."
  }
}

variable "maintenance" {
  description = "When GKE may upgrade: a weekly window (RFC 3339 times, RFC 5545 recurrence) and exclusions, such as the days of a sale."
  type = object({
    start      = optional(string, "2026-01-03T02:00:00Z")
    end        = optional(string, "2026-01-03T08:00:00Z")
    recurrence = optional(string, "FREQ=WEEKLY;BYDAY=SA,SU")
    exclusions = optional(map(object({ start = string, end = string })), {})
  })
  default = {}
}

variable "pools" {
  description = <<-E
    Node pools by name. least and most are nodes in each zone; taint keeps all pods away that do not tolerate
    coditect.io/pool=NAME:NoSchedule.
  E
  type = map(object({
    machine_type = string
    least        = number
    most         = number
    disk_gb      = optional(number, 50)
    disk_type    = optional(string, "pd-balanced")
    spot         = optional(bool, false)
    taint        = optional(bool, false)
  }))
  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.least <= pool.most])
    error_message = "pools: least must not be above most."
  }
}

variable "keys" {
  description = "Ids of the keys for secrets of the cluster, and for disks."
  type        = object({ cluster = string, disks = string })
}

variable "repository" {
  description = "The Artifact Registry repository of images; empty: none is made known to the nodes."
  type        = object({ location = string, name = string })
}

variable "attestor" {
  description = "Who must have signed an image (a Binary Authorization attestor: projects/P/attestors/A). Null: any image of our repository."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether the cluster refuses to be destroyed."
  type        = bool
}

variable "chart_images" {
  description = "Images that the charts of kubernetes/charts use, as patterns of Binary Authorization."
  type        = list(string)
  default = [
    "quay.io/jetstack/*",
    "ghcr.io/external-secrets/*", "oci.external-secrets.io/external-secrets/*",
    "docker.io/library/kong*", "docker.io/kong/*", "kong*", "kong/*",
    "quay.io/prometheus/*", "quay.io/prometheus-operator/*", "ghcr.io/jkroepke/*", "registry.k8s.io/**",
    "docker.io/grafana/*", "quay.io/kiwigrid/*",
    "docker.io/jaegertracing/*", "jaegertracing/*",
    "docker.io/oryd/*",
  ]
}
