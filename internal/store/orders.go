package store

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// verifierRounds is the least NIST SP 800-63B §5.1.1.2 asks of PBKDF2: about
// 2 ms. Verifiers are short (a phone's last digits), so no number of rounds
// protects them once the hashes are out; what protects orders is the lock-out.
const verifierRounds = 10_000

// Bytes of a verifier's salt (NIST SP 800-132 §5.1) and hash.
const saltBytes, hashBytes = 16, 32

func hashVerifier(normal string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, normal, salt, verifierRounds, hashBytes)
}

// PutOrders inserts orders, or replaces those with the same key. An order
// that comes without a verifier keeps the one it has.
func (s *Store) PutOrders(ctx context.Context, orders []kb.ShopOrder, now time.Time) error {
	type row struct {
		kb.ShopOrder
		fields       []byte
		salt, hashed []byte
	}
	rows := make([]row, len(orders))
	for i, o := range orders {
		fields, err := json.Marshal(orEmpty(o.Fields))
		if err != nil {
			return fmt.Errorf("encode fields of order %d: %w", i, err)
		}
		rows[i] = row{ShopOrder: o, fields: fields}
		if o.Verifier != "" { // outside the commit: it is slow on purpose
			rows[i].salt = make([]byte, saltBytes)
			_, _ = rand.Read(rows[i].salt) // never fails
			if rows[i].hashed, err = hashVerifier(kb.OrderAnswer(o.Verifier), rows[i].salt); err != nil {
				return fmt.Errorf("hash verifier: %w", err)
			}
		}
	}
	err := s.commit(ctx, func(c *tenant.Conn) error {
		for _, o := range rows {
			err := c.Exec(`INSERT INTO orders (key, id, user, product, amount, status, fields, salt, verifier, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			    ON CONFLICT (key) DO UPDATE SET id = excluded.id, user = excluded.user, product = excluded.product, amount = excluded.amount, status = excluded.status,
			      fields = excluded.fields, updated_at = excluded.updated_at,
			      verifier = CASE WHEN length(excluded.salt) > 0 THEN excluded.verifier ELSE verifier END,
			      salt = CASE WHEN length(excluded.salt) > 0 THEN excluded.salt ELSE salt END`,
				kb.OrderKey(o.ID), o.ID, o.User, o.Product, string(o.Amount), o.Status, string(o.fields), o.salt, o.hashed, now, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put orders: %w", err)
	}
	return nil
}

const orderColumns = `id, user, product, amount, status, fields, length(salt), created_at, updated_at`

func scanOrder(r *tenant.Row) (kb.ShopOrder, error) {
	o := kb.ShopOrder{
		ID: r.Text(0), User: r.Text(1), Product: r.Text(2), Status: r.Text(4), HasVerifier: r.Int(6) > 0, CreatedAt: r.Time(7), UpdatedAt: r.Time(8),
	}
	if amount := r.Text(3); amount != "" {
		o.Amount = json.RawMessage(amount)
	}
	if err := json.Unmarshal([]byte(r.Text(5)), &o.Fields); err != nil {
		return o, fmt.Errorf("fields of an order: %w", err)
	}
	return o, nil
}

// Order returns the order of a key, or kb.NotFound. Who may see it is the
// caller's to know.
func (s *Store) Order(ctx context.Context, key string) (o kb.ShopOrder, err error) {
	found := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) (err error) {
			found = true
			o, err = scanOrder(r)
			return err
		}, `SELECT `+orderColumns+` FROM orders WHERE key = ?`, key)
	})
	if err != nil {
		return o, fmt.Errorf("read order: %w", err)
	}
	if !found {
		return o, kb.E(kb.NotFound, nil, "no order %q", key)
	}
	return o, nil
}

// OrdersOf returns the n youngest orders of a user.
func (s *Store) OrdersOf(ctx context.Context, user string, n int) (list []kb.ShopOrder, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		list = nil
		return c.Query(func(r *tenant.Row) error {
			o, err := scanOrder(r)
			list = append(list, o)
			return err
		}, `SELECT `+orderColumns+` FROM orders WHERE user = ? AND user <> '' ORDER BY created_at DESC, key DESC LIMIT ?`, user, n)
	})
	if err != nil {
		return nil, fmt.Errorf("list orders of a user: %w", err)
	}
	return list, nil
}

// lock says when failures that count against one subject shut it: at most of
// them within window, then for first, doubled with each further failure up to
// longest.
type lock struct {
	most                   int
	window, first, longest time.Duration
}

// Five wrong answers are what a forgetful owner needs; then four digits take
// years. An address may be an office or a carrier's gateway. The tenant's lock
// is against guessing from many addresses: it is short, for it shuts out
// owners, too; owners with an X-User-Token pass at any time.
func locks(key, addr string) map[string]lock {
	sum := sha256.Sum256([]byte(addr))
	return map[string]lock{
		"order " + key: {5, 24 * time.Hour, 15 * time.Minute, 24 * time.Hour},
		"address " + hex.EncodeToString(sum[:12]): {20, time.Hour, 15 * time.Minute, 24 * time.Hour},
		"tenant": {500, time.Hour, 5 * time.Minute, 5 * time.Minute},
	}
}

// ProveOrder compares the answers of a claim with the verifier of its order
// and counts a failure against order, address and tenant. All of it is one
// commit, so guesses do not gain by coming at once, and the count is durable
// before anybody learns the result. Unknown orders take the same way, in the
// same time, to the same result as wrong answers.
func (s *Store) ProveOrder(ctx context.Context, claim kb.OrderClaim) (o kb.ShopOrder, p kb.Proof, err error) {
	for range 3 { // the shop may replace the verifier meanwhile
		salt, err := s.saltOf(ctx, claim.Key)
		if err != nil {
			return o, kb.Refused, err
		}
		hashes := make([][]byte, len(claim.Answers))
		for i, a := range claim.Answers {
			if hashes[i], err = hashVerifier(kb.OrderAnswer(a), salt); err != nil {
				return o, kb.Refused, fmt.Errorf("hash answer: %w", err)
			}
		}
		again := false
		err = s.h.Commit(ctx, "", func(c *tenant.Conn) (err error) {
			o, p, again = kb.ShopOrder{}, kb.Refused, false
			if locked, err := isLocked(c, claim); err != nil || locked {
				p = kb.Locked
				return err
			}
			o, p, again, err = compare(c, claim.Key, salt, hashes)
			if err != nil || again || p == kb.Proven {
				return err
			}
			return countFailure(c, claim)
		})
		if err != nil {
			return kb.ShopOrder{}, kb.Refused, fmt.Errorf("prove order: %w", err)
		}
		if !again {
			return o, p, nil
		}
	}
	return kb.ShopOrder{}, kb.Refused, kb.E(kb.Unavailable, nil, "the order is being changed; try again")
}

// saltOf returns the salt of an order's verifier, and one that is nobody's for
// orders that have none or do not exist.
func (s *Store) saltOf(ctx context.Context, key string) (salt []byte, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		salt = nil
		return c.Query(func(r *tenant.Row) error { salt = r.Blob(0); return nil }, `SELECT salt FROM orders WHERE key = ?`, key)
	})
	if err != nil {
		return nil, fmt.Errorf("read order: %w", err)
	}
	if len(salt) == 0 {
		salt = make([]byte, saltBytes)
	}
	return salt, nil
}

// compare looks for the verifier among hashes made with salt; again says that
// the order has another salt by now.
func compare(c *tenant.Conn, key string, salt []byte, hashes [][]byte) (o kb.ShopOrder, p kb.Proof, again bool, err error) {
	var now, verifier []byte
	var found kb.ShopOrder
	err = c.Query(func(r *tenant.Row) (err error) {
		found, err = scanOrder(r)
		now, verifier = r.Blob(9), r.Blob(10)
		return err
	}, `SELECT `+orderColumns+`, salt, verifier FROM orders WHERE key = ?`, key)
	if err != nil {
		return o, kb.Refused, false, err
	}
	if len(now) == 0 { // as an order whose verifier nobody knows
		now, verifier = make([]byte, saltBytes), make([]byte, 0)
	}
	if subtle.ConstantTimeCompare(now, salt) == 0 {
		return o, kb.Refused, true, nil
	}
	right := 0
	for _, h := range hashes {
		right |= subtle.ConstantTimeCompare(h, verifier)
	}
	if right == 0 {
		return o, kb.Refused, false, nil
	}
	return found, kb.Proven, false, nil
}

// isLocked reports whether the order, the address or the tenant is locked.
func isLocked(c *tenant.Conn, claim kb.OrderClaim) (locked bool, err error) {
	for subject := range locks(claim.Key, claim.Addr) {
		err := c.Query(func(*tenant.Row) error { locked = true; return nil },
			`SELECT 1 FROM order_failures WHERE subject = ? AND until > ?`, subject, claim.Now)
		if err != nil {
			return false, err
		}
	}
	return locked, nil
}

func countFailure(c *tenant.Conn, claim kb.OrderClaim) error {
	for subject, l := range locks(claim.Key, claim.Addr) {
		n, since := 0, claim.Now
		err := c.Query(func(r *tenant.Row) error {
			// The window of a subject that was locked begins with its lock's end.
			if began, until := r.Time(1), r.Time(2); claim.Now.Sub(began) < l.window || claim.Now.Sub(until) < l.window {
				n, since = r.Int(0), began
			}
			return nil
		}, `SELECT n, since, until FROM order_failures WHERE subject = ?`, subject)
		if err != nil {
			return err
		}
		n++
		until := int64(0)
		if over := n - l.most; over >= 0 {
			until = claim.Now.Add(min(l.first<<min(over, 16), l.longest)).UnixMilli()
		}
		err = c.Exec(`INSERT OR REPLACE INTO order_failures (subject, n, since, until) VALUES (?, ?, ?, ?)`, subject, n, since, until)
		if err != nil {
			return err
		}
	}
	// Beyond any window and lock: nobody will ask for these again.
	const forgotten = 3 * 24 * time.Hour
	return c.Exec(`DELETE FROM order_failures WHERE since < ? AND until < ?`, claim.Now.Add(-forgotten), claim.Now.Add(-forgotten))
}
