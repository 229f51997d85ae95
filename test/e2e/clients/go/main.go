// A workload that holds its identity with go-spiffe: prints one JSON line for every update and
// error. Usage: go-client ADDRESS watch|source|tokens|federate
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

var modes = map[string]func(ctx context.Context, address string) error{
	"watch":    watch,
	"source":   holdSource,
	"tokens":   holdTokens,
	"federate": federate,
}

type line map[string]interface{}

func show(l line) {
	if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
		os.Exit(1)
	}
}

func showError(err error) {
	show(line{"event": "error", "error": err.Error()})
}

func main() {
	run, known := modes[os.Args[2]]
	if !known {
		fmt.Fprintf(os.Stderr, "no mode %q\n", os.Args[2])
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		showError(err)
	}
	os.Exit(1)
}
