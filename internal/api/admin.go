package api

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Operator is a Backend that also manages whole tenants. A Backend that is
// none (a chat function) answers the admin routes with 404. actor is the id of
// the key that asked; every change is in the audit under it.
type Operator interface {
	TenantAdmin
	Restorer
	Carrier
	KeyAdmin
	ServerAdmin
}

// TenantAdmin lists, makes, deletes and backs up tenants.
type TenantAdmin interface {
	Tenants(ctx context.Context, p kb.Page) ([]TenantInfo, string, error)
	CreateTenant(ctx context.Context, actor string, id kb.TenantID) error
	DeleteTenant(ctx context.Context, actor string, id kb.TenantID) error
	// BackUp compacts, takes a snapshot, verifies it, and expires.
	BackUp(ctx context.Context, actor string, id kb.TenantID) (BackedUp, error)
}

// Restorer brings a tenant back to a moment.
type Restorer interface {
	RestorePoints(ctx context.Context, id kb.TenantID, p kb.Page) ([]RestorePoint, string, error)
	Restore(ctx context.Context, actor string, id kb.TenantID, at Moment, preview bool) (Restored, error)
	Undo(ctx context.Context, actor string, id kb.TenantID) (Restored, error)
}

// Carrier takes a tenant out as one plain SQLite file, and in.
type Carrier interface {
	// Export calls send once with the verified file.
	Export(ctx context.Context, actor string, id kb.TenantID, at Moment, send func(Exported) error) error
	// Import reads file to its end. sha256 is that of the file, or "".
	Import(ctx context.Context, actor string, id kb.TenantID, file io.Reader, sha256 string, replace bool) (Imported, error)
}

// KeyAdmin manages stored keys; of is the tenant they are bound to, "" = none.
type KeyAdmin interface {
	Keys(ctx context.Context, of kb.TenantID) ([]KeyInfo, error)
	CreateKey(ctx context.Context, actor string, of kb.TenantID, k NewKey) (MadeKey, error)
	DeleteKey(ctx context.Context, actor string, of kb.TenantID, id string) error
}

// ServerAdmin is about the servers themselves.
type ServerAdmin interface {
	LogLevel(ctx context.Context) (LogLevel, error)
	// SetLogLevel holds for all servers of the store until the time is over,
	// then what is configured counts again.
	SetLogLevel(ctx context.Context, actor, level string, hold time.Duration) (LogLevel, error)
	Audit(ctx context.Context, of kb.TenantID, p kb.Page) ([]AuditEntry, string, error)
}

// TenantInfo is one of the list of tenants.
type TenantInfo struct {
	ID         kb.TenantID `json:"id"`
	Status     string      `json:"status"` // live, deleted
	Commit     string      `json:"commit,omitempty"`
	Changed    time.Time   `json:"changed_at"`
	LastBackup *time.Time  `json:"last_backup,omitempty"`
	Undo       bool        `json:"undo"` // there is something to take back
}

// BackedUp is what a backup of one tenant did.
type BackedUp struct {
	Commit    string `json:"commit"`
	Snapshot  string `json:"snapshot,omitempty"`
	Rows      int64  `json:"rows"`
	Compacted int    `json:"compacted"`
	Deleted   int    `json:"deleted"`
}

// RestorePoint is a moment that can be restored.
type RestorePoint struct {
	Commit   string    `json:"commit"`
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // commit, range, snapshot
	Replaced bool      `json:"replaced"`
}

// Moment is a time or a commit; the zero Moment is now.
type Moment struct {
	Time   time.Time
	Commit string
}

// Restored is what a restore did or would do.
type Restored struct {
	Preview     bool         `json:"preview"`
	Commit      string       `json:"commit"`
	Time        *time.Time   `json:"time,omitempty"`
	Now         string       `json:"now,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
}

// Difference is what a restore would do to one table, in rows.
type Difference struct {
	Table   string `json:"table"`
	Then    int64  `json:"rows_then"`
	Now     int64  `json:"rows_now"`
	Back    int64  `json:"come_back"`
	Gone    int64  `json:"go_away"`
	Changed int64  `json:"change"`
}

// Exported is a file that goes out.
type Exported struct {
	Name     string
	Bytes    int64
	SHA256   []byte
	Manifest json.RawMessage
	File     io.Reader
}

// Imported is what an import did.
type Imported struct {
	Tenant kb.TenantID `json:"tenant"`
	Now    string      `json:"now"`
	Rows   int64       `json:"rows"`
}

// NewKey is a key to be made.
type NewKey struct {
	Name     string
	Scopes   []string
	Life     time.Duration // 0 = for ever
	Replaces string        // id of a key whose scopes and name it takes over
	Overlap  time.Duration // how long that one goes on working
}

// KeyInfo is a stored key, without the key.
type KeyInfo struct {
	ID      string      `json:"id"`
	Name    string      `json:"name,omitempty"`
	Scopes  []string    `json:"scopes"`
	Tenant  kb.TenantID `json:"tenant,omitempty"`
	Created time.Time   `json:"created_at"`
	Expires *time.Time  `json:"expires_at,omitempty"`
}

// MadeKey is a new key, shown this once.
type MadeKey struct {
	KeyInfo
	Key string `json:"key"`
}

// LogLevel is what is logged.
type LogLevel struct {
	Level      string     `json:"level"`
	Configured string     `json:"configured"`
	Until      *time.Time `json:"until,omitempty"` // then the configured one counts again
}

// AuditEntry is one thing that an operator did.
type AuditEntry struct {
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Action  string          `json:"action"`
	Tenant  string          `json:"tenant,omitempty"`
	Outcome string          `json:"outcome"` // begun, done, failed
	Detail  json.RawMessage `json:"detail,omitempty"`
}
