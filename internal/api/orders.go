package api

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Bounds of orders: a batch is one commit, and its verifiers take 2 ms each.
const (
	maxOrders     = 500
	maxOrderID    = 64
	maxOrderField = 1000 // bytes of product, status
	maxUserID     = 128  // bytes, as the sub of a token
)

// ordersRequest is the body of POST /api/v1/orders.
type ordersRequest struct {
	Orders []map[string]json.RawMessage `json:"orders"`
}

func (s *Server) orderPost(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	var req ordersRequest
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	if n := len(req.Orders); n == 0 || n > maxOrders {
		return kb.E(kb.Invalid, nil, "orders: send 1 to %d of them, not %d", maxOrders, n).With("field", "orders")
	}
	orders := make([]kb.ShopOrder, len(req.Orders))
	seen := map[string]int{}
	for i, in := range req.Orders {
		path := fmt.Sprintf("orders[%d]", i)
		if orders[i], err = readOrder(path, in); err != nil {
			return err
		}
		key := kb.OrderKey(orders[i].ID)
		if first, twice := seen[key]; twice {
			return invalid(path+".id", "the same order as orders[%d]; send each once", first)
		}
		seen[key] = i
	}
	if err := t.Orders.PutOrders(r.Context(), orders, now()); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"success": true, "upserted_count": len(orders)})
}

func invalid(field, format string, args ...any) error {
	return kb.E(kb.Invalid, nil, "%s: %s", field, fmt.Sprintf(format, args...)).With("field", field)
}

// readOrder takes one order; fields of no name of ours are shown to its owner
// as they are.
func readOrder(path string, in map[string]json.RawMessage) (o kb.ShopOrder, err error) {
	extra := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		field, raw := path+"."+name, in[name]
		if bytes.Equal(raw, []byte("null")) {
			continue
		}
		switch name {
		case "id":
			o.ID, err = text(field, raw, maxOrderID)
		case "user_id":
			o.User, err = text(field, raw, maxUserID)
		case "product":
			o.Product, err = text(field, raw, maxOrderField)
		case "status":
			o.Status, err = text(field, raw, maxOrderField)
		case "verifier":
			o.Verifier, err = text(field, raw, maxUserID)
		case "amount":
			_, err = text(field, raw, maxOrderID)
			o.Amount = raw
		default:
			var v any
			err = json.Unmarshal(raw, &v)
			extra[name] = v
			if n, number := v.(float64); number && err == nil && n == float64(int64(n)) {
				extra[name] = string(raw) // not 1e+06
			}
		}
		if err != nil {
			return o, err
		}
	}
	if o.Fields, err = metadata(extra); err != nil {
		return o, kb.E(kb.Invalid, err, "%s: %v", path, strings.ReplaceAll(err.Error(), "metadata", "further fields")).With("field", path)
	}
	return o, checkOrder(path, o)
}

func checkOrder(path string, o kb.ShopOrder) error {
	odd := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("#-_./", r)
	}
	answer := kb.OrderAnswer(o.Verifier)
	least := 2 // a Chinese name
	if !strings.ContainsFunc(answer, func(r rune) bool { return r > unicode.MaxASCII }) {
		least = 4
	}
	switch {
	case o.ID == "":
		return invalid(path+".id", "it is missing; every order needs its number")
	case strings.ContainsFunc(o.ID, odd) || !strings.ContainsFunc(o.ID, unicode.IsDigit):
		return invalid(path+".id", "use letters, digits and # - _ . /, with at least one digit: customers find it by typing it")
	case o.User == "" && o.Verifier == "":
		return invalid(path+".verifier", "give a verifier (such as the last digits of a phone), a user_id, or both: without, nobody can prove that it is theirs")
	case o.Verifier != "" && utf8.RuneCountInString(answer) < least:
		return invalid(path+".verifier", "too easy to guess; use at least %d letters or digits", least)
	}
	return nil
}

// text reads a JSON string, or a number as it is written.
func text(field string, raw json.RawMessage, most int) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		var n json.Number
		if err := json.Unmarshal(raw, &n); err != nil {
			return "", invalid(field, "want a string or a number")
		}
		s = n.String()
	}
	s = strings.TrimSpace(s)
	switch {
	case len(s) > most:
		return "", invalid(field, "longer than %d bytes", most)
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", invalid(field, "it has control characters; remove them")
	}
	return s, nil
}

func (s *Server) orderGet(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantForAny(w, r, auth.Ingest, auth.Admin)
	if err != nil {
		return err
	}
	o, err := t.Orders.Order(r.Context(), kb.OrderKey(r.PathValue("id")))
	if err != nil {
		return err
	}
	body := map[string]any{}
	for name, value := range o.Fields {
		body[name] = value
	}
	maps.Copy(body, map[string]any{
		"id": o.ID, "user_id": o.User, "product": o.Product, "status": o.Status, "has_verifier": o.HasVerifier, "created_at": o.CreatedAt, "updated_at": o.UpdatedAt,
	})
	if o.Amount != nil {
		body["amount"] = o.Amount
	}
	return writeJSON(w, http.StatusOK, body)
}

// secretInfo is a secret as it is listed: without itself.
type secretInfo struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at,omitzero"`
}

func (s *Server) secretList(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	value, err := t.Settings.Setting(r.Context(), userSecrets)
	if err != nil {
		return err
	}
	secrets, err := readSecrets(value)
	if err != nil {
		return err
	}
	infos := make([]secretInfo, len(secrets))
	for i, s := range secrets {
		infos[i] = secretInfo{s.ID, s.Created, s.Expires}
	}
	return list(w, "secrets", infos, "")
}

// secretRequest is the body of POST /api/v1/user-token/secrets.
type secretRequest struct {
	Secret  string `json:"secret"`          // default: a random one
	Overlap *int64 `json:"overlap_seconds"` // how long the old ones go on; default a day
}

// Bounds of secrets: HS256 asks for a key of at least its hash (RFC 7518
// §3.2); an overlap longer than a month is no rotation.
const (
	minSecretBytes = 32
	maxSecretBytes = 512
	maxOverlap     = 30 * 24 * time.Hour
	dayOverlap     = 24 * time.Hour
)

// secretPost makes a new secret for user tokens and shows it this once.
func (s *Server) secretPost(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	var req secretRequest
	if r.ContentLength != 0 {
		if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
			return err
		}
	}
	overlap := dayOverlap
	if req.Overlap != nil {
		if *req.Overlap < 0 || *req.Overlap > int64(maxOverlap/time.Second) {
			return invalid("overlap_seconds", "use 0 to %d", int64(maxOverlap/time.Second))
		}
		overlap = time.Duration(*req.Overlap) * time.Second
	}
	if n := len(req.Secret); n > 0 && n < minSecretBytes || n > maxSecretBytes {
		return invalid("secret", "use %d to %d bytes, or leave it out for a random one", minSecretBytes, maxSecretBytes)
	}
	next := auth.UserSecret{ID: kb.NewID("uts", now()), Secret: req.Secret, Created: now().UTC()}
	if next.Secret == "" {
		next.Secret = rand.Text() + rand.Text()
	}
	err = t.Settings.ChangeSetting(r.Context(), userSecrets, func(old string) (string, error) {
		secrets, err := readSecrets(old)
		if err != nil {
			return "", err
		}
		value, err := json.Marshal(auth.RotateUserSecrets(secrets, next, overlap))
		return string(value), err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, map[string]any{"id": next.ID, "secret": next.Secret, "algorithm": "HS256", "created_at": next.Created})
}
