variable "project" {
  description = "Project id."
  type        = string
}

variable "region" {
  description = "Region of the subnetworks."
  type        = string
}

variable "name" {
  description = "Name of the network, and prefix of what belongs to it."
  type        = string
}

variable "ranges" {
  description = "Ranges by purpose, from the module network-plan."
  type = object({
    nodes            = string
    service_connect  = string
    control_plane    = string
    private_services = string
    services         = string
    pods             = string
  })
}

variable "nat_addresses" {
  description = "Static addresses of outgoing connections, for partners that allow only known ones; 0: Google chooses."
  type        = number
  default     = 0
}

variable "flow_log_sampling" {
  description = "Share of flows that is logged, 0 to 1."
  type        = number
  default     = 0.1
}
