package app

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// settings are what operators change at run time, for all servers of a store:
// today the log's level. They are read again on the first request after
// settingsAge, as keys are.
type settings struct {
	log *telemetry.Log // nil: there is no level to change

	mu sync.Mutex
	at time.Time // when they were read
}

// settingsAge bounds how long a change takes to reach every server (DESIGN §4,
// _control).
const settingsAge = 5 * time.Second

// UseLog lets operators change the level of log.
func (a *App) UseLog(log *telemetry.Log) { a.settings.log = log }

// watch reads the settings again if they are old. Without a level to change
// there is nothing to read them for.
func (a *App) watch(ctx context.Context) {
	if a.settings.log == nil {
		return
	}
	a.settings.mu.Lock()
	old := time.Since(a.settings.at) >= settingsAge
	if old {
		a.settings.at = time.Now() // one request asks, the others go on
	}
	a.settings.mu.Unlock()
	if !old {
		return
	}
	if err := a.readSettings(ctx); err != nil {
		// Best effort: the request itself meets the store's trouble.
		a.log.DebugContext(ctx, "settings cannot be read", "error", err)
	}
}

func (a *App) readSettings(ctx context.Context) error {
	if err := a.control.Refresh(ctx); err != nil {
		return err
	}
	_, kept, err := a.control.Load(ctx)
	if err != nil {
		return err
	}
	return a.applySettings(kept)
}

// logSetting is the setting of the log's level.
const logSetting = "log_level"

// keptLevel is its value.
type keptLevel struct {
	Level string    `json:"level"`
	Until time.Time `json:"until"`
}

// level is the level that counts now: the kept one until its time is over.
func (a *App) level(kept map[string]string) (keptLevel, error) {
	configured := keptLevel{Level: a.cfg.Logging.Level}
	text := kept[logSetting]
	if text == "" {
		return configured, nil
	}
	var l keptLevel
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return configured, fmt.Errorf("setting %s: %w", logSetting, err)
	}
	if time.Now().After(l.Until) {
		return configured, nil
	}
	return l, nil
}

func (a *App) applySettings(kept map[string]string) error {
	l, err := a.level(kept)
	if err != nil || a.settings.log == nil || a.settings.log.Level() == l.Level {
		return err
	}
	return a.settings.log.SetLevel(l.Level)
}

func (b backend) LogLevel(ctx context.Context) (api.LogLevel, error) {
	if err := b.a.control.Refresh(ctx); err != nil {
		return api.LogLevel{}, err
	}
	_, kept, err := b.a.control.Load(ctx)
	if err != nil {
		return api.LogLevel{}, err
	}
	if err := b.a.applySettings(kept); err != nil {
		return api.LogLevel{}, err
	}
	l, err := b.a.level(kept)
	return api.LogLevel{Level: l.Level, Configured: b.a.cfg.Logging.Level, Until: orNil(l.Until)}, err
}

// How long a changed level holds where nobody says: debug is loud, and who
// turned it on forgets it.
const (
	holdDebug = time.Hour
	holdOther = 24 * time.Hour
)

func (b backend) SetLogLevel(ctx context.Context, actor, level string, hold time.Duration) (api.LogLevel, error) {
	if hold == 0 {
		hold = holdOther
		if level == "debug" {
			hold = holdDebug
		}
	}
	at := now()
	l := keptLevel{Level: level, Until: at.Add(hold)}
	e := store.Entry{At: at, Actor: actor, Action: "log-level", Outcome: "done", Detail: toJSON(l)}
	if err := b.a.control.SetSetting(ctx, logSetting, toJSON(l), e); err != nil {
		return api.LogLevel{}, err
	}
	if b.a.settings.log != nil {
		if err := b.a.settings.log.SetLevel(level); err != nil {
			return api.LogLevel{}, err
		}
	}
	return api.LogLevel{Level: level, Configured: b.a.cfg.Logging.Level, Until: orNil(l.Until)}, nil
}
