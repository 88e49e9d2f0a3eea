package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/chat"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// nothing is a knowledge base without documents.
type nothing struct{}

func (nothing) Retrieve(context.Context, string, int) (kb.Found, error) {
	return kb.Found{Abstain: true}, nil
}

// office is a server over real stores in memory.
type office struct {
	*httptest.Server
	t   *testing.T
	api *Server
	reg *tenant.Registry
}

func (o *office) Tenant(ctx context.Context, id kb.TenantID, create bool) (Tenant, error) {
	open := o.reg.Tenant
	if create {
		open = o.reg.Create
	}
	h, err := open(ctx, id)
	if err != nil {
		return Tenant{}, err
	}
	s := store.New(h)
	c := chat.New(chat.Config{}, nil, slog.New(slog.DiscardHandler)).For(chat.Tenant{ID: id, Memory: s, Retriever: nothing{}, Orders: s})
	return Tenant{ID: id, Chat: c, Documents: s, Conversations: s, Orders: s, Handoffs: s, Sessions: s, Feedback: s, Settings: s}, s.Refresh(ctx)
}

func (*office) Ready(context.Context) bool { return true }

func (*office) Health(context.Context) (map[string]Health, bool) { return nil, true }

// shelfOfModels offers two chat models.
type shelfOfModels struct{}

func (shelfOfModels) Models() []Model {
	return []Model{{ID: "m-1", Type: "chat", Default: true}, {ID: "m/2", Type: "chat"}, {ID: "e-1", Type: "embedding", Default: true}}
}

func (shelfOfModels) CheckModel(kind, id string) error {
	if kind == "chat" && (id == "m-1" || id == "m/2") {
		return nil
	}
	return kb.E(kb.Invalid, nil, "model: no such one")
}

// Keys of the office.
const (
	adminKey  = "admin-key"
	ingestKey = "ingest-key"
	chatKey   = "chat-key"
	otherKey  = "other-tenant-admin-key"
)

func openOffice(t *testing.T, cfg Config) *office {
	t.Helper()
	o := &office{t: t, reg: tenant.NewRegistry(tenant.Config{Bucket: new(mem.Bucket), Schema: store.Schema, RunTwice: true})}
	var keys []auth.Key
	for key, k := range map[string]auth.Key{
		adminKey:  {ID: "k_admin", Scopes: []auth.Scope{auth.Admin}, Tenant: "default"},
		ingestKey: {ID: "k_ingest", Scopes: []auth.Scope{auth.Ingest}, Tenant: "default"},
		chatKey:   {ID: "k_chat", Scopes: []auth.Scope{auth.Chat}, Tenant: "default"},
		otherKey:  {ID: "k_other", Scopes: []auth.Scope{auth.Admin, auth.Ingest, auth.Chat}, Tenant: "rival"},
	} {
		k.Hash = auth.HashKey(key)
		keys = append(keys, k)
	}
	links, err := auth.NewLinks(make([]byte, 32), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cfg.PublicTenants, cfg.AutoCreate, cfg.Models = []kb.TenantID{kb.DefaultTenant}, true, shelfOfModels{}
	o.api = New(cfg, auth.NewKeys(keys, func(context.Context) ([]auth.Key, error) { return nil, nil }), links, o, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if _, err := o.reg.Create(t.Context(), kb.DefaultTenant); err != nil {
		t.Fatal(err)
	}
	o.Server = httptest.NewServer(o.api)
	t.Cleanup(func() {
		o.Server.Close()
		if err := o.reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// call sends a request and returns status and body; headers are name, value …
func (o *office) call(key, method, path, body string, headers ...string) (int, map[string]any) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.URL+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-API-Key", key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	v := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		o.t.Fatalf("%s %s: %d, %v", method, path, res.StatusCode, err)
	}
	return res.StatusCode, v
}

// want fails unless the call answers status; it returns the body.
func (o *office) want(status int, key, method, path, body string, headers ...string) map[string]any {
	o.t.Helper()
	got, v := o.call(key, method, path, body, headers...)
	if got != status {
		o.t.Errorf("%s %s with key %q and %.200s: %d %v, want %d", method, path, key, body, got, v, status)
	}
	return v
}

const lampOrder = `{"orders":[{"id":"2025-1114-001","user_id":"u1","product":"Lamp","amount":199.50,"status":"shipped","verifier":"5678","carrier":"SF","eta":20251120}]}`

func TestWhoMayDoTheDailyWork(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	o.want(200, ingestKey, "POST", "/api/v1/orders", lampOrder)
	for _, tt := range []struct {
		method, path, body string
		may                string // keys that may; the others are refused
	}{
		{"POST", "/api/v1/orders", lampOrder, "ingest"},
		{"GET", "/api/v1/orders/20251114001", "", "ingest admin"},
		{"GET", "/api/v1/user-token/secrets", "", "admin"},
		{"POST", "/api/v1/user-token/secrets", "", "admin"},
		{"GET", "/api/v1/handoffs", "", "admin"},
		{"GET", "/api/v1/handoffs/x", "", "admin"},
		{"POST", "/api/v1/handoffs/x/accept", `{"agent":"Ann"}`, "admin"},
		{"POST", "/api/v1/handoffs/x/reply", `{"text":"hi"}`, "admin"},
		{"POST", "/api/v1/handoffs/x/close", "", "admin"},
		{"GET", "/api/v1/sessions", "", "admin"},
		{"GET", "/api/v1/sessions/x", "", "admin"},
		{"GET", "/api/v1/feedback", "", "admin"},
		{"GET", "/api/v1/usage", "", "admin"},
		{"GET", "/api/v1/synonyms", "", "admin"},
		{"PUT", "/api/v1/synonyms", `{"synonyms":[["a","b"]]}`, "admin"},
		{"GET", "/models", "", "admin ingest chat"},
		{"GET", "/models/current", "", "admin ingest chat"},
		{"POST", "/models/switch", `{"type":"chat","model":"m/2"}`, "admin"},
		{"GET", "/models/info/chat/m%2F2", "", "admin ingest chat"},
	} {
		for name, key := range map[string]string{"admin": adminKey, "ingest": ingestKey, "chat": chatKey, "nobody": "", "stranger": "unknown"} {
			status, body := o.call(key, tt.method, tt.path, tt.body)
			refused := status == 401 || status == 403
			if may := strings.Contains(tt.may, name); may == refused || !refused && status >= 500 {
				t.Errorf("%s %s by %s: %d %v, want that only %s may", tt.method, tt.path, name, status, body, tt.may)
			}
		}
		o.want(403, otherKey, tt.method, tt.path, tt.body, "X-Tenant-ID", "default")
		if tt.path == "/api/v1/orders" {
			continue
		}
		// Another tenant's administrator: the same ids, another world.
		status, body := o.call(otherKey, tt.method, tt.path, tt.body)
		if text := fmt.Sprint(body); status == 200 && (strings.Contains(text, "Lamp") || strings.Contains(text, "u1")) {
			t.Errorf("%s %s shows another tenant's data: %s", tt.method, tt.path, text)
		}
	}
}

func TestOrdersAreChecked(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	for body, want := range map[string]string{
		`{"orders":[]}`:                "orders: send 1 to 500",
		`{}`:                           "orders: send 1 to 500",
		`{"order":[]}`:                 "order: unknown field",
		`{"orders":[{"user_id":"u"}]}`: "orders[0].id: it is missing",
		`{"orders":[{"id":"订单1","user_id":"u"}]}`:                             "orders[0].id: use letters",
		`{"orders":[{"id":"abc","user_id":"u"}]}`:                             "at least one digit",
		`{"orders":[{"id":{},"user_id":"u"}]}`:                                "orders[0].id: want a string or a number",
		`{"orders":[{"id":"` + strings.Repeat("1", 65) + `","user_id":"u"}]}`: "orders[0].id: longer than 64 bytes",
		`{"orders":[{"id":"1"}]}`:                                             "orders[0].verifier: give a verifier",
		`{"orders":[{"id":"1","verifier":"12 "}]}`:                            "orders[0].verifier: too easy",
		`{"orders":[{"id":"1","verifier":"1234"},{"id":"#1","user_id":"u"}]}`: "orders[1].id: the same order as orders[0]",
		`{"orders":[{"id":"1","user_id":"u","items":[1]}]}`:                   "orders[0]: ",
		`{"orders":[{"id":"1","user_id":"u","status":"a\u0000b"}]}`:           "orders[0].status: it has control characters",
		`{"orders":[{"id":"1","user_id":"u","100%d":{}}]}`:                    "100%d",
		`{"orders":[` + strings.Repeat(`{"id":"1"},`, 500) + `{"id":"2"}]}`:   "not 501",
		`{"orders":"x"}`: "orders: want a list",
	} {
		v := o.want(400, ingestKey, "POST", "/api/v1/orders", body)
		if m := fmt.Sprint(v["message"]); !strings.Contains(m, want) {
			t.Errorf("%.80s: %q, want %q", body, m, want)
		}
	}
	if v := o.want(200, ingestKey, "POST", "/api/v1/orders", lampOrder); v["success"] != true || v["upserted_count"] != 1.0 {
		t.Errorf("upserted %v", v)
	}
	v := o.want(200, ingestKey, "GET", "/api/v1/orders/%2320251114001", "")
	if v["id"] != "2025-1114-001" || v["amount"] != 199.5 || v["carrier"] != "SF" || v["eta"] != "20251120" || v["has_verifier"] != true || strings.Contains(fmt.Sprint(v), "5678") {
		t.Errorf("order %v", v)
	}
	o.want(404, ingestKey, "GET", "/api/v1/orders/1", "")
}

// ask asks in a session and returns the answer.
func (o *office) ask(key, session, query string, headers ...string) map[string]any {
	o.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query, "session_id": session})
	if err != nil {
		o.t.Fatal(err)
	}
	return o.want(200, key, "POST", "/chat", string(body), headers...)
}

func TestAUserTokenOpensOnesOwnOrders(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	o.want(200, ingestKey, "POST", "/api/v1/orders", lampOrder)
	exp := time.Now().Add(time.Hour).Unix()
	first := o.want(201, adminKey, "POST", "/api/v1/user-token/secrets", `{"secret":"0123456789abcdef0123456789abcdef"}`)
	second := o.want(201, adminKey, "POST", "/api/v1/user-token/secrets", "")
	rival := o.want(201, otherKey, "POST", "/api/v1/user-token/secrets", "")
	token := func(secret any, user, tenant string) string {
		return sign(fmt.Sprintf(`{"sub":%q,"tenant":%q,"exp":%d}`, user, tenant, exp), fmt.Sprint(secret))
	}
	for name, tt := range map[string]struct {
		key, token string
		status     int
		shown      bool
	}{
		"the owner, as a visitor":           {"", token(second["secret"], "u1", "default"), 200, true},
		"the owner, by the shop's key":      {chatKey, token(second["secret"], "u1", "default"), 200, true},
		"the owner, with the secret before": {"", token(first["secret"], "u1", "default"), 200, true},
		"another user":                      {"", token(second["secret"], "u2", "default"), 200, false},
		"no token":                          {"", "", 200, false},
		"a rival's token":                   {"", token(rival["secret"], "u1", "default"), 401, false},
		"a token for a rival":               {"", token(second["secret"], "u1", "rival"), 401, false},
		"nonsense":                          {"", "a.b.c", 401, false},
	} {
		body := o.want(tt.status, tt.key, "POST", "/chat", `{"query":"where is my order 2025-1114-001"}`, "X-User-Token", tt.token)
		if shown := strings.Contains(fmt.Sprint(body["answer"]), "Lamp"); shown != tt.shown {
			t.Errorf("%s: %v, want shown: %v", name, body, tt.shown)
		}
	}
	listed := o.want(200, adminKey, "GET", "/api/v1/user-token/secrets", "")
	if text := fmt.Sprint(listed); strings.Contains(text, fmt.Sprint(second["secret"])) || !strings.Contains(text, fmt.Sprint(second["id"])) {
		t.Errorf("listed %s", text)
	}
	o.want(201, adminKey, "POST", "/api/v1/user-token/secrets", `{"overlap_seconds":0}`)
	o.want(401, "", "POST", "/chat", `{"query":"hello"}`, "X-User-Token", token(second["secret"], "u1", "default"))
	o.want(400, adminKey, "POST", "/api/v1/user-token/secrets", `{"secret":"short"}`)
	o.want(400, adminKey, "POST", "/api/v1/user-token/secrets", `{"overlap_seconds":-1}`)
}

func TestSessionsOfUsersBehindOneKeyAreApart(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	secret := o.want(201, adminKey, "POST", "/api/v1/user-token/secrets", "")["secret"].(string)
	token := func(user string) string {
		return sign(fmt.Sprintf(`{"sub":%q,"tenant":"default","exp":%d}`, user, time.Now().Add(time.Hour).Unix()), secret)
	}
	o.ask(chatKey, "s1", "转人工", "X-User-Token", token("u1"))
	if a := o.ask(chatKey, "s1", "你好", "X-User-Token", token("u2")); a["route"] != "direct" {
		t.Errorf("another user's message joined the session: %v", a)
	}
	o.want(200, chatKey, "GET", "/api/v1/sessions/s1/events", "", "X-User-Token", token("u1"), "Accept", "application/json")
	o.want(404, chatKey, "GET", "/api/v1/sessions/s1/events", "", "X-User-Token", token("u3"), "Accept", "application/json")
	o.want(404, chatKey, "GET", "/api/v1/sessions/s1/events", "", "Accept", "application/json")
	o.want(404, "", "GET", "/api/v1/sessions/s1/events", "", "Accept", "application/json")
	if v := o.want(200, adminKey, "GET", "/api/v1/sessions/s1?owner=k_chat/u1", ""); v["state"] != "waiting" {
		t.Errorf("session %v", v)
	}
	o.want(404, adminKey, "GET", "/api/v1/sessions/s1?owner=", "")
}

func TestModelsAreSwitchedPerTenant(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	chatOf := func(key string) any { return o.want(200, key, "GET", "/models/current", "")["chat"] }
	if got := fmt.Sprint(chatOf(chatKey)); got != "map[model:m-1 source:settings]" {
		t.Errorf("at first %s", got)
	}
	for _, body := range []string{`{"type":"chat","model":"m-9"}`, `{"type":"embedding","model":"e-1"}`, `{"type":"x","model":"m-1"}`, `{"model":"m-1"}`} {
		o.want(400, adminKey, "POST", "/models/switch", body)
	}
	if v := o.want(200, adminKey, "POST", "/models/switch", `{"type":"chat","model":"m/2"}`); v["previous"] != "m-1" {
		t.Errorf("the first switch: %v, want what answered before", v)
	}
	if got, other := fmt.Sprint(chatOf(chatKey)), fmt.Sprint(chatOf(otherKey)); got != "map[model:m/2 source:tenant]" || other != "map[model:m-1 source:settings]" {
		t.Errorf("after the switch %s, another tenant %s", got, other)
	}
	if v := o.want(200, adminKey, "POST", "/models/switch", `{"type":"chat","model":""}`); v["model"] != "m-1" || v["previous"] != "m/2" {
		t.Errorf("back: %v", v)
	}
	if v := o.want(200, chatKey, "GET", "/models/info/chat/m%2F2", ""); v["id"] != "m/2" {
		t.Errorf("info: %v", v)
	}
	o.want(404, chatKey, "GET", "/models/info/chat/nope", "")
	o.want(400, chatKey, "GET", "/models/info/image/m-1", "")
}

func TestSynonyms(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	put := func(status int, body string) string {
		t.Helper()
		return fmt.Sprint(o.want(status, adminKey, "PUT", "/api/v1/synonyms", body))
	}
	now := func(key string) string {
		t.Helper()
		return fmt.Sprint(o.want(200, key, "GET", "/api/v1/synonyms", ""))
	}
	const none, two = "map[synonyms:[]]", "map[synonyms:[[保修 保固] [花呗 蚂蚁花呗]]]"
	if got := now(adminKey); got != none {
		t.Errorf("at first %s", got)
	}
	if got := put(200, `{"synonyms":[["保修"," 保固 "],["花呗","蚂蚁花呗"]]}`); got != two {
		t.Errorf("put: %s", got)
	}
	for body, want := range map[string]string{
		`{}`:                                 "empty list",
		`{"synonyms":[["a"]]}`:               "group 1 has 1 words",
		`{"synonyms":[["a","b"],["",1]]`:     "",
		`{"synonyms":[["a","b"],["c"," "]]}`: "word 2 of group 2",
		`{"synonyms":[["a","` + strings.Repeat("长", 41) + `"]]}`:            "word 2 of group 1",
		`{"synonyms":[["a","b\nc"]]}`:                                       "one line",
		`{"synonyms":[` + strings.Repeat(`["a","b"],`, 500) + `["a","b"]]}`: "501 groups",
		`{"synonyms":[["a","b"],["c"," B"]]}`:                               "in group 1, too; put all words that mean the same into one group",
		`{"synonyms":[["a","b","A"]]}`:                                      "word 3 of group 1",
		`{"synonym":[]}`:                                                    "synonym",
	} {
		if got := put(400, body); !strings.Contains(got, want) {
			t.Errorf("%.60s: %s, want it to say %q", body, got, want)
		}
	}
	if got, other := now(adminKey), now(otherKey); got != two || other != none {
		t.Errorf("after what was refused %s, another tenant has %s", got, other)
	}
	if got := put(200, `{"synonyms":[]}`); got != none || now(adminKey) != none {
		t.Errorf("removed: %s", got)
	}
}

func TestFeedbackAndUsage(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	public := o.ask("", "", "天上有几颗星？")["metadata"].(map[string]any)["turn_id"].(string)
	keyed := o.ask(chatKey, "s", "你好")["metadata"].(map[string]any)["turn_id"].(string)
	rate := func(status int, key, turn, rest string) {
		t.Helper()
		o.want(status, key, "POST", "/api/v1/feedback", fmt.Sprintf(`{"turn_id":%q,%s}`, turn, rest))
	}
	rate(200, "", public, `"rating":"up"`)
	rate(200, "", public, `"rating":"down","comment":"wrong"`)
	rate(200, chatKey, keyed, `"rating":"up"`)
	rate(404, "", keyed, `"rating":"up"`)
	rate(404, otherKey, public, `"rating":"up"`)
	rate(404, "", "turn_none", `"rating":"up"`)
	rate(400, "", public, `"rating":"5"`)
	rate(400, "", "", `"rating":"up"`)
	rate(400, "", public, `"rating":"up","comment":"`+strings.Repeat("x", 2001)+`"`)
	fs := o.want(200, adminKey, "GET", "/api/v1/feedback", "")["feedback"].([]any)
	if len(fs) != 2 {
		t.Fatalf("feedback %v", fs)
	}
	down := o.want(200, adminKey, "GET", "/api/v1/feedback?rating=down", "")["feedback"].([]any)
	if f := down[0].(map[string]any); len(down) != 1 || f["comment"] != "wrong" || f["query"] != "天上有几颗星？" {
		t.Errorf("down: %v", down)
	}
	u := o.want(200, adminKey, "GET", "/api/v1/usage", "")
	if total := u["total"].(map[string]any); total["turns"] != 2.0 || total["abstained"] != 1.0 {
		t.Errorf("usage %v", u)
	}
	if u := o.want(200, adminKey, "GET", "/api/v1/usage?from=2020-01-01&to=2020-12-31", ""); len(u["usage"].([]any)) != 0 {
		t.Errorf("usage of 2020: %v", u)
	}
	o.want(400, adminKey, "GET", "/api/v1/usage?from=yesterday", "")
}

func TestOriginIsTheNetworkOfACustomer(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "::ffff:192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "", "pipe": "pipe",
	} {
		if got := origin(addr); got != want {
			t.Errorf("origin(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestALateAnswerIsReplayedAsTakenOver(t *testing.T) {
	t.Parallel()
	evs := replay(kb.Turn{ID: "t", Session: "s", Answer: "overtaken", Metadata: kb.Metadata{Late: true, State: "human"}})
	last := evs[len(evs)-1]
	if last.Type != kb.EventHandoff || last.Metadata == nil {
		t.Errorf("replayed %+v", evs)
	}
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(evs)
	if strings.Contains(b.String(), "overtaken") {
		t.Errorf("the late answer is out: %s", b.String())
	}
	a, err := drain(func(yield func(kb.Event, error) bool) {
		for _, ev := range []kb.Event{{Type: kb.EventStart, Session: "s"}, {Type: kb.EventChunk, Content: "overtaken"}, {Type: kb.EventHandoff, Route: kb.Handoff, Content: "note", Metadata: &kb.Metadata{Late: true}}} {
			if !yield(ev, nil) {
				return
			}
		}
	})
	if err != nil || a.Answer != "note" || a.Route != kb.Handoff || !a.Metadata.Late {
		t.Errorf("drained %+v, %v", a, err)
	}
}
