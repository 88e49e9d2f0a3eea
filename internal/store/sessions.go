package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Session returns a session and its last turns, oldest first, without the
// answers that quote what was deleted. A session that
// does not exist, or belongs to another owner, is kb.NotFound: the two cannot
// be told apart.
func (s *Store) Session(ctx context.Context, id kb.SessionID, owner string, turns int) (ses kb.Session, last []kb.Turn, err error) {
	found := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		last = nil
		err := c.Query(func(r *tenant.Row) error {
			found = true
			ses = kb.Session{
				ID: id, Owner: owner, State: kb.SessionState(r.Text(0)), StateAt: r.Time(1),
				CreatedAt: r.Time(2), LastAt: r.Time(3), Turns: r.Int(4),
			}
			return nil
		}, `SELECT state, state_at, created_at, last_at, turns FROM sessions WHERE owner = ? AND id = ?`, owner, id)
		if err != nil || !found || turns == 0 {
			return err
		}
		err = c.Query(func(r *tenant.Row) error {
			t, err := scanTurn(r)
			last = append([]kb.Turn{t}, last...)
			return err
		}, `SELECT `+turnColumns+` FROM turns WHERE owner = ? AND session = ? ORDER BY seq DESC LIMIT ?`, owner, id, turns)
		if err != nil {
			return err
		}
		return withdraw(c, last)
	})
	if err != nil {
		return ses, nil, fmt.Errorf("read session: %w", err)
	}
	if !found {
		return ses, nil, kb.E(kb.NotFound, nil, "no session %q", id)
	}
	return ses, last, nil
}

// withdraw takes the answers out of turns that quote a document which was
// deleted since: what was deleted is not shown again, nor sent to a model.
func withdraw(c *tenant.Conn, turns []kb.Turn) error {
	there := map[kb.DocumentID]bool{}
	for i := range turns {
		t := &turns[i]
		for _, src := range t.Sources {
			id := src.Metadata.Document
			if _, asked := there[id]; !asked {
				there[id] = false
				err := c.Query(func(*tenant.Row) error { there[id] = true; return nil }, `SELECT 1 FROM documents WHERE id = ?`, id)
				if err != nil {
					return err
				}
			}
			if !there[id] {
				t.Answer, t.Sources, t.Metadata.Withdrawn = "", []kb.Citation{}, true
				break
			}
		}
	}
	return nil
}

const turnColumns = `id, session, query, condensed, answer, route, lang, sources, metadata, created_at`

func scanTurn(r *tenant.Row) (kb.Turn, error) {
	t := kb.Turn{
		ID: kb.TurnID(r.Text(0)), Session: kb.SessionID(r.Text(1)), Query: r.Text(2), Condensed: r.Text(3), Answer: r.Text(4),
		Route: kb.Route(r.Text(5)), Lang: kb.Lang(r.Text(6)), CreatedAt: r.Time(9),
	}
	if err := json.Unmarshal([]byte(r.Text(7)), &t.Sources); err != nil {
		return t, fmt.Errorf("sources of turn %s: %w", t.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Text(8)), &t.Metadata); err != nil {
		return t, fmt.Errorf("metadata of turn %s: %w", t.ID, err)
	}
	return t, nil
}

// Turn returns one turn of a session's owner, or kb.NotFound.
func (s *Store) Turn(ctx context.Context, id kb.TurnID, owner string) (t kb.Turn, err error) {
	found := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) (err error) {
			found = true
			t, err = scanTurn(r)
			return err
		}, `SELECT `+turnColumns+` FROM turns WHERE id = ? AND owner = ?`, id, owner)
	})
	if err == nil && !found {
		err = kb.E(kb.NotFound, nil, "no turn %q", id)
	}
	return t, err
}

// SaveTurn remembers a turn, moves its session, counts what it took, and
// records a missed question or what it means to a handoff, in one commit. If
// the session's state is no longer before, somebody else took the
// conversation: kb.Conflict with the detail state, and nothing is saved.
func (s *Store) SaveTurn(ctx context.Context, t kb.Turn, owner string, before, after kb.SessionState, reason string) error {
	return s.SaveTurnSpent(ctx, t, owner, before, after, reason, nil)
}

// SaveTurnSpent is SaveTurn, and counts in the same commit what models took
// that did not write the answer.
func (s *Store) SaveTurnSpent(ctx context.Context, t kb.Turn, owner string, before, after kb.SessionState, reason string, spent []kb.Spent) error {
	sources, err := json.Marshal(t.Sources)
	if err != nil {
		return fmt.Errorf("encode sources: %w", err)
	}
	metadata, err := json.Marshal(t.Metadata)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	commit := s.commit
	if rc := kb.ReceiptOf(ctx); rc != nil {
		rc.Turn = t.ID
		if t.Metadata.Interrupted { // who repeats the request is to have all of it
			commit = func(ctx context.Context, fn func(*tenant.Conn) error) error { return s.h.Commit(ctx, "", fn) }
		}
	}
	return commit(ctx, func(c *tenant.Conn) error {
		if err := moveSession(c, t, owner, before, after); err != nil {
			return err
		}
		if err := moveHandoff(c, t, owner, before, after, reason); err != nil {
			return err
		}
		if err := addUsage(c, t); err != nil {
			return err
		}
		for _, u := range spent {
			if err := addSpent(c, u, t.CreatedAt); err != nil {
				return err
			}
		}
		if t.Metadata.Missed != "" && !t.Metadata.Late {
			err := c.Exec(`INSERT OR REPLACE INTO missed (turn, query, lang, created_at) VALUES (?, ?, ?, ?)`, t.ID, t.Query, t.Lang, t.CreatedAt)
			if err != nil {
				return err
			}
		}
		return c.Exec(`INSERT INTO turns (owner, `+turnColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			owner, t.ID, t.Session, t.Query, t.Condensed, t.Answer, t.Route, t.Lang, string(sources), string(metadata), t.CreatedAt)
	})
}

func moveSession(c *tenant.Conn, t kb.Turn, owner string, before, after kb.SessionState) error {
	state, known := kb.StateAI, false
	err := c.Query(func(r *tenant.Row) error {
		known, state = true, kb.SessionState(r.Text(0))
		return nil
	}, `SELECT state FROM sessions WHERE owner = ? AND id = ?`, owner, t.Session)
	switch {
	case err != nil:
		return err
	case state != before:
		return kb.E(kb.Conflict, nil, "the conversation was taken over meanwhile").With("state", state)
	case !known:
		return c.Exec(`INSERT INTO sessions (owner, id, state, state_at, created_at, last_at, turns) VALUES (?, ?, ?, ?, ?, ?, 1)`,
			owner, t.Session, after, t.CreatedAt, t.CreatedAt, t.CreatedAt)
	case state != after:
		err = c.Exec(`UPDATE sessions SET state = ?, state_at = ? WHERE owner = ? AND id = ?`, after, t.CreatedAt, owner, t.Session)
		if err != nil {
			return err
		}
	}
	return c.Exec(`UPDATE sessions SET last_at = max(last_at, ?), turns = turns + 1 WHERE owner = ? AND id = ?`, t.CreatedAt, owner, t.Session)
}

// moveHandoff opens a handoff when the session begins to wait, closes the open
// one when the assistant has it again, and passes on what the customer says in
// between.
func moveHandoff(c *tenant.Conn, t kb.Turn, owner string, before, after kb.SessionState, reason string) error {
	if before == kb.StateAI && after == kb.StateAI {
		return nil
	}
	ticket, err := openTicket(c, owner, t.Session)
	if err != nil {
		return err
	}
	note := kb.Note{Handoff: ticket, Kind: kb.NoteCustomer, Text: t.Query, Turn: t.ID, CreatedAt: t.CreatedAt}
	switch {
	case before == after:
	case after == kb.StateWaiting:
		note.Handoff, note.Kind = string(t.ID), kb.NoteRequested
		err = c.Exec(`INSERT INTO handoffs (id, owner, session, state, reason, lang, query, created_at, updated_at) VALUES (?, ?, ?, 'waiting', ?, ?, ?, ?, ?)`,
			t.ID, owner, t.Session, reason, t.Lang, t.Query, t.CreatedAt, t.CreatedAt)
	default:
		note.Kind = kb.NoteKind(reason)
		err = c.Exec(`UPDATE handoffs SET state = 'closed', reason = ?, updated_at = ? WHERE id = ?`, reason, t.CreatedAt, ticket)
	}
	if err != nil {
		return err
	}
	return addNote(c, owner, t.Session, note)
}

// SessionsOf returns the sessions of an id, the youngest first: callers with a
// key choose theirs, so two may have chosen the same.
func (s *Store) SessionsOf(ctx context.Context, id kb.SessionID) (list []kb.Session, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		list = nil
		return c.Query(func(r *tenant.Row) error {
			list = append(list, scanSession(r))
			return nil
		}, `SELECT `+sessionColumns+` FROM sessions s WHERE id = ? ORDER BY last_at DESC LIMIT 20`, id)
	})
	if err != nil {
		return nil, fmt.Errorf("find sessions: %w", err)
	}
	return list, nil
}

// Sessions lists sessions by their last turn, the youngest first; state "" is
// all.
func (s *Store) Sessions(ctx context.Context, state kb.SessionState, p kb.Page) (list []kb.Session, next string, err error) {
	before := int64(math.MaxInt64)
	if p.Cursor != "" {
		if before, err = strconv.ParseInt(p.Cursor, 10, 64); err != nil {
			return nil, "", kb.E(kb.Invalid, err, "cursor: use the value of next").With("field", "cursor")
		}
	}
	var seqs []int64
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		list, seqs = nil, nil
		return c.Query(func(r *tenant.Row) error {
			list, seqs = append(list, scanSession(r)), append(seqs, r.Int64(7))
			return nil
		}, `SELECT `+sessionColumns+`, t.seq FROM turns t JOIN sessions s ON s.owner = t.owner AND s.id = t.session
		    WHERE t.seq < ? AND (? = '' OR s.state = ?)
		      AND NOT EXISTS (SELECT 1 FROM turns l WHERE l.owner = t.owner AND l.session = t.session AND l.seq > t.seq)
		    ORDER BY t.seq DESC LIMIT ?`, before, state, state, limit(p)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list sessions: %w", err)
	}
	if n := limit(p); len(list) > n {
		list = list[:n]
		next = strconv.FormatInt(seqs[n-1], 10)
	}
	return list, next, nil
}

const sessionColumns = `s.id, s.owner, s.state, s.state_at, s.created_at, s.last_at, s.turns`

func scanSession(r *tenant.Row) kb.Session {
	return kb.Session{
		ID: kb.SessionID(r.Text(0)), Owner: r.Text(1), State: kb.SessionState(r.Text(2)), StateAt: r.Time(3),
		CreatedAt: r.Time(4), LastAt: r.Time(5), Turns: r.Int(6),
	}
}

// MissedQueries lists missed questions by turn id. Turns kept before there were
// reasons abstained.
func (s *Store) MissedQueries(ctx context.Context, p kb.Page) (ms []kb.Missed, next string, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		ms = nil
		return c.Query(func(r *tenant.Row) error {
			ms = append(ms, kb.Missed{Turn: kb.TurnID(r.Text(0)), Query: r.Text(1), Lang: kb.Lang(r.Text(2)), CreatedAt: r.Time(3), Reason: kb.Miss(r.Text(4))})
			return nil
		}, `SELECT m.turn, m.query, m.lang, m.created_at, coalesce(t.metadata ->> '$.missed', 'not_found')
		    FROM missed m LEFT JOIN turns t ON t.id = m.turn WHERE m.turn > ? ORDER BY m.turn LIMIT ?`, p.Cursor, limit(p)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list missed queries: %w", err)
	}
	if len(ms) > limit(p) {
		ms = ms[:limit(p)]
		next = string(ms[len(ms)-1].Turn)
	}
	return ms, next, nil
}
