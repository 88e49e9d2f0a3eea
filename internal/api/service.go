package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Orders are the orders of one tenant's customers.
type Orders interface {
	PutOrders(ctx context.Context, orders []kb.ShopOrder, now time.Time) error
	Order(ctx context.Context, key string) (kb.ShopOrder, error)
}

// Handoffs are the conversations of one tenant that humans have or had.
type Handoffs interface {
	Handoffs(ctx context.Context, state string, p kb.Page) ([]kb.Ticket, string, error)
	Handoff(ctx context.Context, id string) (kb.Ticket, []kb.Note, error)
	AcceptHandoff(ctx context.Context, id, agent string, text kb.NoteText, now time.Time) (kb.Ticket, error)
	ReplyHandoff(ctx context.Context, id, text string, now time.Time) (kb.Note, error)
	CloseHandoff(ctx context.Context, id string, text kb.NoteText, now time.Time) (kb.Ticket, error)
	ExpireHandoffs(ctx context.Context, cutoff time.Time, text kb.NoteText, now time.Time) error
}

// Sessions are the conversations of one tenant.
type Sessions interface {
	Sessions(ctx context.Context, state kb.SessionState, p kb.Page) ([]kb.Session, string, error)
	SessionsOf(ctx context.Context, id kb.SessionID) ([]kb.Session, error)
	Session(ctx context.Context, id kb.SessionID, owner string, turns int) (kb.Session, []kb.Turn, error)
	Follow(ctx context.Context, id kb.SessionID, owner string, after int64) (state kb.SessionState, notes []kb.Note, from int64, err error)
	Refresh(ctx context.Context) error
}

// Feedback is what readers thought of answers, and what answers took.
type Feedback interface {
	PutFeedback(ctx context.Context, turn kb.TurnID, owner, rating, comment string, now time.Time) error
	Feedback(ctx context.Context, rating string, p kb.Page) ([]kb.Feedback, string, error)
	Usage(ctx context.Context, from, to string) ([]kb.UsageDay, error)
}

// Settings are what one tenant chose.
type Settings interface {
	Setting(ctx context.Context, key string) (string, error)
	ChangeSetting(ctx context.Context, key string, change func(old string) (string, error)) error
	Synonyms(ctx context.Context) (kb.Synonyms, error)
	PutSynonyms(ctx context.Context, groups kb.Synonyms) error
}

// serviceRoutes are the routes of the daily work.
func (s *Server) serviceRoutes() []route {
	type m = map[string]handlerFunc
	return []route{
		{"/api/v1/orders", m{"POST": s.once(s.orderPost)}},
		{"/api/v1/orders/{id}", m{"GET": s.orderGet}},
		{"/api/v1/user-token/secrets", m{"GET": s.secretList, "POST": s.secretPost}},
		{"/api/v1/handoffs", m{"GET": s.handoffList}},
		{"/api/v1/handoffs/{id}", m{"GET": s.handoffGet}},
		{"/api/v1/handoffs/{id}/accept", m{"POST": s.once(s.handoffAccept)}},
		{"/api/v1/handoffs/{id}/reply", m{"POST": s.once(s.handoffReply)}},
		{"/api/v1/handoffs/{id}/close", m{"POST": s.once(s.handoffClose)}},
		{"/api/v1/sessions", m{"GET": s.sessionList}},
		{"/api/v1/sessions/{id}", m{"GET": s.sessionGet}},
		{"/api/v1/sessions/{id}/events", m{"GET": s.sessionEvents}},
		{"/api/v1/feedback", m{"POST": s.once(s.feedbackPost), "GET": s.feedbackList}},
		{"/api/v1/synonyms", m{"GET": s.synonymsGet, "PUT": s.synonymsPut}},
		{"/api/v1/usage", m{"GET": s.usageGet}},
		{"/models", m{"GET": s.modelList}},
		{"/models/current", m{"GET": s.modelCurrent}},
		{"/models/switch", m{"POST": s.once(s.modelSwitch)}},
		{"/models/info/{type}/{name}", m{"GET": s.modelInfo}},
	}
}

// tenantForAny is tenantFor for keys with any of the scopes.
func (s *Server) tenantForAny(w http.ResponseWriter, r *http.Request, scopes ...auth.Scope) (Tenant, error) {
	p, err := s.keys.Principal(r)
	if err != nil {
		return Tenant{}, err
	}
	if !slices.ContainsFunc(scopes, p.Can) {
		return Tenant{}, p.Require(scopes[0])
	}
	return s.open(w, r, p, "")
}

// userSecrets is the setting that holds a tenant's secrets for user tokens.
const userSecrets = "user_token_secrets"

// user returns the customer that the request's X-User-Token vouches for, ""
// without one.
func (s *Server) user(r *http.Request, t Tenant) (string, error) {
	token := r.Header.Get("X-User-Token")
	if token == "" {
		return "", nil
	}
	value, err := t.Settings.Setting(r.Context(), userSecrets)
	if err != nil {
		return "", err
	}
	secrets, err := readSecrets(value)
	if err != nil {
		return "", err
	}
	return auth.VerifyUserToken(token, t.ID, secrets, now())
}

func readSecrets(value string) (secrets []auth.UserSecret, err error) {
	if value == "" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(value), &secrets)
	return secrets, err
}

// origin is what failures of a client are counted by: its address, or for
// IPv6 its network, for one customer has a whole /64 (RFC 6177).
func origin(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Unmap().Is4() {
		return addr
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return addr
	}
	return p.String()
}
