// Command train learns the weights of package intent from the sentences in its
// folder data, and writes weights.bin and weights.go:
//
//	go run ./internal/intent/train internal/intent
//
// It prints the accuracy on lines that were held out.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/eino-qa/eino-qa/internal/intent"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	flag.Parse()
	dir := flag.Arg(0)
	examples, err := intent.Sentences(os.DirFS(filepath.Join(dir, "data")), intent.Readings)
	if err != nil {
		return err
	}
	m, err := intent.Train(examples, intent.Shipped)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%d sentences, held out %.4f\n", len(examples), m.HeldOut)
	bin, source := m.Pack()
	if err := os.WriteFile(filepath.Join(dir, "weights.bin"), bin, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "weights.go"), []byte(source), 0o600)
}
