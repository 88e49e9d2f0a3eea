// Command invoke sends one event to a built function, as Lambda or Function
// Compute would, and prints the reply and what the function logged.
//
//	invoke BINARY lambda|fc EVENT.json
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

func main() {
	if len(os.Args) != 4 || os.Args[2] != "lambda" && os.Args[2] != "fc" {
		fmt.Fprintln(os.Stderr, "usage: invoke BINARY lambda|fc EVENT.json")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Environ(), os.Stdout, os.Stderr); err != nil { //nolint:forbidigo // handed on to the function as it is
		fmt.Fprintln(os.Stderr, "invoke:", err)
		os.Exit(1)
	}
}

// instance is a running function.
type instance interface {
	Invoke(ctx context.Context, event []byte) (*emulator.Reply, error)
	Close()
}

func run(ctx context.Context, binary, platform, file string, environ []string, out, log io.Writer) (err error) {
	event, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	env := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	o := emulator.Options{Binary: binary, Env: env, Output: log}
	var in instance
	if platform == "fc" {
		in, err = emulator.StartFC(ctx, o)
	} else {
		in, err = emulator.StartLambda(ctx, o)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	rep, err := in.Invoke(ctx, event)
	if err != nil {
		return err
	}
	if rep.Prelude != nil {
		fmt.Fprintln(out, rep.Prelude.StatusCode, rep.Prelude.Headers)
	}
	body, err := rep.Whole()
	_, werr := fmt.Fprintf(out, "%s\n", body)
	return errors.Join(err, werr)
}
