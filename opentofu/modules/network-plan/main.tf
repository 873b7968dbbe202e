# Where every environment's addresses are. No provider: pure arithmetic, tested by `tofu test`.
#
# An environment has a /12 of its own, so that environments can be joined to one another, or to an office,
# without renumbering:
#
#   nodes              /18   16,380 nodes
#   service_connect    /20   endpoints of Memorystore (Private Service Connect)
#   control_plane      /28   GKE's control plane
#   private_services   /20   Cloud SQL (Private Service Access)
#   services           /16   65,536 Services
#   pods               /14   1,024 nodes of 256 addresses, of which GKE uses 110
#
# The rest is free for what comes.

variable "environment" {
  description = "The environment whose ranges are wanted; one of `environments`."
  type        = string
  validation {
    condition     = contains(keys(var.environments), var.environment)
    error_message = "environment must be one of: ${join(", ", keys(var.environments))}."
  }
}

variable "environments" {
  description = "The /12 of each environment, in CIDR notation. All of them, for they must not overlap."
  type        = map(string)
  default = {
    dev        = "10.16.0.0/12"
    staging    = "10.48.0.0/12"
    production = "10.80.0.0/12"
  }
  validation {
    condition     = alltrue([for cidr in values(var.environments) : can(cidrhost(cidr, 0)) && endswith(cidr, "/12")])
    error_message = "environments: each must be a /12 in CIDR notation."
  }
  validation {
    condition     = alltrue([for cidr in values(var.environments) : try(cidrsubnet(cidr, 0, 0) == cidr, true)])
    error_message = "environments: ${join(", ", [for cidr in values(var.environments) : "${cidr} is not on a /12 boundary (${try(cidrsubnet(cidr, 0, 0), "?")} is)" if try(cidrsubnet(cidr, 0, 0) != cidr, false)])}."
  }
  validation {
    condition     = alltrue([for cidr in values(var.environments) : try(cidrcontains("10.0.0.0/8", cidr), true)])
    error_message = "environments: each must be inside 10.0.0.0/8, the only private range that holds a /12 for each."
  }
}

variable "reserved" {
  description = "Ranges in use elsewhere (offices, other clouds, peered networks) that no environment may overlap."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for cidr in values(var.reserved) : can(cidrhost(cidr, 0))])
    error_message = "reserved: each must be a range in CIDR notation."
  }
}

locals {
  mine = var.environments[var.environment]
  ranges = {
    nodes            = cidrsubnet(local.mine, 6, 0)
    service_connect  = cidrsubnet(local.mine, 8, 8)
    control_plane    = cidrsubnet(local.mine, 16, 3584)
    private_services = cidrsubnet(local.mine, 8, 15)
    services         = cidrsubnet(local.mine, 4, 2)
    pods             = cidrsubnet(local.mine, 2, 1)
  }
  all = concat(
    [for name, cidr in var.environments : { name = name, cidr = cidr }],
    [for name, cidr in var.reserved : { name = name, cidr = cidr }],
  )
  parts = [for name, cidr in local.ranges : { name = name, cidr = cidr }]
  # Two ranges overlap exactly when one contains the other.
  overlaps = distinct(flatten([
    for list in [local.all, local.parts] : [
      for i, a in list : [
        for j, b in list : "${a.name} ${a.cidr} and ${b.name} ${b.cidr}"
        if i < j && (cidrcontains(a.cidr, b.cidr) || cidrcontains(b.cidr, a.cidr))
      ]
    ]
  ]))
}

output "range" {
  description = "The environment's own range; all of the others are inside."
  value       = local.mine
}

output "ranges" {
  description = "The range of each purpose, in CIDR notation."
  value       = local.ranges
  precondition {
    condition     = length(local.overlaps) == 0
    error_message = "These ranges overlap: ${join("; ", local.overlaps)}."
  }
  precondition {
    condition     = alltrue([for cidr in values(local.ranges) : cidrcontains(local.mine, cidr)])
    error_message = "A range is outside its environment's."
  }
}
