//go:build tools

// Package tools pins OpenTofu, with the replacement of the HCL library that its own module makes.
package tools

import _ "github.com/opentofu/opentofu/cmd/tofu"
