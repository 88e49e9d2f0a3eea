// Command invoke sends one event to a built function, as Lambda or Function
// Compute would, and prints the reply and what the function logged.
//
//	invoke BINARY lambda|fc|fc-web EVENT.json
//
// A web function gets no events: the request that an HTTP trigger's event
// describes is made.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

func main() {
	if len(os.Args) != 4 || !slices.Contains([]string{"lambda", "fc", "fc-web"}, os.Args[2]) {
		fmt.Fprintln(os.Stderr, "usage: invoke BINARY lambda|fc|fc-web EVENT.json")
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
	switch platform {
	case "fc-web":
		return request(ctx, o, event, out)
	case "fc":
		in, err = emulator.StartFC(ctx, o)
	default:
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

// request makes the request of an HTTP trigger's event.
func request(ctx context.Context, o emulator.Options, event []byte, out io.Writer) error {
	var ev struct {
		RawPath         string            `json:"rawPath"`
		QueryParameters map[string]string `json:"queryParameters"`
		Headers         map[string]string `json:"headers"`
		Body            string            `json:"body"`
		RequestContext  struct {
			HTTP struct {
				Method string `json:"method"`
			} `json:"http"`
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(event, &ev); err != nil || ev.RawPath == "" {
		return fmt.Errorf("no event of an HTTP trigger: %w", err)
	}
	query := url.Values{}
	for k, v := range ev.QueryParameters {
		query.Set(k, v)
	}
	r, err := http.NewRequestWithContext(ctx, ev.RequestContext.HTTP.Method, "https://"+ev.Headers["Host"]+ev.RawPath, strings.NewReader(ev.Body))
	if err != nil {
		return err
	}
	r.URL.RawQuery = query.Encode()
	for k, v := range ev.Headers {
		r.Header.Set(k, v)
	}
	f, err := emulator.StartFCCustom(ctx, o)
	if err != nil {
		return err
	}
	defer f.Close()
	res, err := f.RoundTrip(r)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, res.StatusCode, res.Header)
	_, err = io.Copy(out, res.Body)
	return errors.Join(err, res.Body.Close())
}
