// Package serverless serves one function's handlers on whatever platform the
// process finds itself: AWS Lambda or Alibaba Function Compute (built-in go1
// or custom runtime). One binary runs on all of them. The platform is found
// out from a snapshot of the environment that the caller hands in; this
// package reads none. Adapters are in aws and fc, their common vocabulary in
// function, and emulator drives built binaries as the platforms would.
package serverless

import (
	"context"
	"log/slog"
	"net"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/aws"
	_ "github.com/eino-qa/eino-qa/internal/serverless/early" // collects later
	"github.com/eino-qa/eino-qa/internal/serverless/fc"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// The vocabulary of package function, for callers.
type (
	Config        = function.Config
	Handlers      = function.Handlers
	ObjectEvent   = function.ObjectEvent
	ScheduleEvent = function.ScheduleEvent
	Credentials   = function.Credentials
	Platform      = function.Platform
	Mode          = function.Mode
)

// Env is what of the environment tells the platform. Make it with EnvFrom.
type Env struct {
	LambdaAPI   string // AWS_LAMBDA_RUNTIME_API
	FCAPI       string // FC_RUNTIME_API: set for built-in runtimes
	FCFunction  string // FC_FUNCTION_NAME
	FCPort      string // FC_CUSTOM_LISTEN_PORT: custom runtimes only
	Credentials function.Triple
}

// EnvFrom makes an Env by asking lookup for each name it needs; lookup
// returns "" for what is not set.
func EnvFrom(lookup func(name string) string) Env {
	return Env{
		LambdaAPI:  lookup("AWS_LAMBDA_RUNTIME_API"),
		FCAPI:      lookup("FC_RUNTIME_API"),
		FCFunction: lookup("FC_FUNCTION_NAME"),
		FCPort:     lookup("FC_CUSTOM_LISTEN_PORT"),
		Credentials: function.Triple{
			AccessKeyID:     lookup("ALIBABA_CLOUD_ACCESS_KEY_ID"),
			AccessKeySecret: lookup("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
			SecurityToken:   lookup("ALIBABA_CLOUD_SECURITY_TOKEN"),
		},
	}
}

// Platform says where the process runs.
func (e Env) Platform() (Platform, error) {
	switch {
	case e.LambdaAPI != "" && (e.FCAPI != "" || e.FCFunction != "" || e.FCPort != ""):
		return "", kb.E(kb.Invalid, nil, "the environment is of both AWS Lambda and Function Compute: set serverless.platform")
	case e.LambdaAPI != "":
		return function.Lambda, nil
	case e.FCPort != "":
		return function.FCCustom, nil
	case e.FCAPI != "":
		return function.FCRuntime, nil
	case e.FCFunction != "":
		return function.FCCustom, nil
	}
	return function.Local, nil
}

// Resolve fills what of cfg the environment says: Platform and Addr, where
// they are empty, and the first credentials.
func (e Env) Resolve(cfg Config) (Config, error) {
	if cfg.Platform == "" {
		p, err := e.Platform()
		if err != nil {
			return cfg, err
		}
		cfg.Platform = p
	}
	if cfg.Addr == "" && e.FCPort != "" {
		cfg.Addr = net.JoinHostPort("", e.FCPort)
	}
	cfg.Credentials.Offer(e.Credentials)
	return cfg, cfg.Check()
}

// Serve runs h on the platform that cfg or, where it names none, env tells.
// On Lambda and go1 it does not return; on a custom runtime it returns when
// the platform stops the instance. On a plain host it is an error.
func Serve(ctx context.Context, cfg Config, env Env, h Handlers) error {
	cfg, err := env.Resolve(cfg)
	if err != nil {
		return err
	}
	if cfg.Log != nil {
		// The SDKs report failed invocations through package log: as lines of
		// ours they are JSON, and pass the redaction.
		slog.SetDefault(cfg.Log)
		slog.SetLogLoggerLevel(slog.LevelWarn)
	}
	switch cfg.Platform {
	case function.Lambda:
		aws.New(cfg, h).Start()
	case function.FCRuntime:
		fc.New(cfg, h).StartRuntime()
	case function.FCCustom:
		return fc.New(cfg, h).ServeCustom(ctx)
	default:
		return kb.E(kb.Invalid, nil, "this is a function for AWS Lambda or Function Compute, and no such platform is here: run the local server, or set serverless.platform")
	}
	return nil
}
