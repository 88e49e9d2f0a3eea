// Command run measures sets on the retriever in memory:
//
//	go run ./internal/evaluate/run DIR...
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/eino-qa/eino-qa/internal/evaluate"
)

func main() {
	for _, dir := range os.Args[1:] {
		set, err := evaluate.Load(dir)
		if err == nil {
			var s evaluate.Scores
			begin := time.Now()
			s, err = evaluate.Measure(context.Background(), new(evaluate.Memory), set)
			fmt.Fprintln(os.Stdout, set.Name, s)
			fmt.Fprintf(os.Stderr, "%s: %s\n", set.Name, time.Since(begin).Round(time.Millisecond))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
