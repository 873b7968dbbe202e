// Command hydra is Ory Hydra v2.3.0, the newest that the Go registries serve: later tags are no
// versions of its module path. It has a main function of its own here because `go install` refuses a
// module with replacements.
package main

import "github.com/ory/hydra/v2/cmd"

func main() {
	cmd.Execute()
}
