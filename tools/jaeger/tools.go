//go:build tools

// Package tools pins Jaeger v2, whose program is cmd/jaeger of the v1 module path: tags v2.x are no
// versions of it.
package tools

import _ "github.com/jaegertracing/jaeger/cmd/jaeger"
