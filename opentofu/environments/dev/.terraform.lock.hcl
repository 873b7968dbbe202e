# The versions that are tested. `tofu init` adds the checksums of the registry's packages the first time it
# runs: commit them.

provider "registry.opentofu.org/hashicorp/google" {
  version     = "7.45.0"
  constraints = "~> 7.45"
}

provider "registry.opentofu.org/hashicorp/random" {
  version     = "3.9.0"
  constraints = "~> 3.9"
}
