package store

import (
	"context"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// openTicket returns the id of a session's handoff that is not closed, "" if
// there is none.
func openTicket(c *tenant.Conn, owner string, session kb.SessionID) (id string, err error) {
	err = c.Query(func(r *tenant.Row) error { id = r.Text(0); return nil },
		`SELECT id FROM handoffs WHERE owner = ? AND session = ? AND state <> 'closed' ORDER BY created_at DESC LIMIT 1`, owner, session)
	return id, err
}

func addNote(c *tenant.Conn, owner string, session kb.SessionID, n kb.Note) error {
	return c.Exec(`INSERT INTO notes (handoff, owner, session, kind, agent, text, turn, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		n.Handoff, owner, session, n.Kind, n.Agent, n.Text, n.Turn, n.CreatedAt)
}

const noteColumns = `seq, handoff, kind, agent, text, turn, created_at`

func scanNote(r *tenant.Row) kb.Note {
	return kb.Note{
		Seq: r.Int64(0), Handoff: r.Text(1), Kind: kb.NoteKind(r.Text(2)), Agent: r.Text(3), Text: r.Text(4), Turn: kb.TurnID(r.Text(5)), CreatedAt: r.Time(6),
	}
}

const ticketColumns = `id, session, owner, state, reason, agent, lang, query, created_at, updated_at`

func scanTicket(r *tenant.Row) kb.Ticket {
	return kb.Ticket{
		ID: r.Text(0), Session: kb.SessionID(r.Text(1)), Owner: r.Text(2), State: r.Text(3), Reason: r.Text(4), Agent: r.Text(5),
		Lang: kb.Lang(r.Text(6)), Query: r.Text(7), CreatedAt: r.Time(8), UpdatedAt: r.Time(9),
	}
}

func ticket(c *tenant.Conn, id string) (t kb.Ticket, err error) {
	err = c.Query(func(r *tenant.Row) error { t = scanTicket(r); return nil }, `SELECT `+ticketColumns+` FROM handoffs WHERE id = ?`, id)
	if err == nil && t.ID == "" {
		err = kb.E(kb.NotFound, nil, "no handoff %q", id)
	}
	return t, err
}

// Handoffs lists handoffs, the youngest first; state "" is all.
func (s *Store) Handoffs(ctx context.Context, state string, p kb.Page) (ts []kb.Ticket, next string, err error) {
	before := p.Cursor
	if before == "" {
		before = "~" // after every id
	}
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		ts = nil
		return c.Query(func(r *tenant.Row) error {
			ts = append(ts, scanTicket(r))
			return nil
		}, `SELECT `+ticketColumns+` FROM handoffs WHERE id < ? AND (? = '' OR state = ?) ORDER BY id DESC LIMIT ?`, before, state, state, limit(p)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list handoffs: %w", err)
	}
	if len(ts) > limit(p) {
		ts = ts[:limit(p)]
		next = ts[len(ts)-1].ID
	}
	return ts, next, nil
}

// Handoff returns one handoff and its last notes, oldest first.
func (s *Store) Handoff(ctx context.Context, id string) (t kb.Ticket, notes []kb.Note, err error) {
	const most = 500 // of one handoff; the session has all turns
	err = s.h.Read(ctx, func(c *tenant.Conn) (err error) {
		notes = nil
		if t, err = ticket(c, id); err != nil {
			return err
		}
		return c.Query(func(r *tenant.Row) error {
			notes = append(notes, scanNote(r))
			return nil
		}, `SELECT * FROM (SELECT `+noteColumns+` FROM notes WHERE handoff = ? ORDER BY seq DESC LIMIT ?) ORDER BY seq`, id, most)
	})
	return t, notes, err
}

// AcceptHandoff gives a waiting conversation to an agent. The same agent may
// do it again; for others it is kb.Conflict, as after its end.
func (s *Store) AcceptHandoff(ctx context.Context, id, agent string, text kb.NoteText, now time.Time) (t kb.Ticket, err error) {
	err = s.commit(ctx, func(c *tenant.Conn) (err error) {
		if t, err = ticket(c, id); err != nil {
			return err
		}
		switch {
		case t.State == string(kb.StateHuman) && t.Agent == agent:
			return nil
		case t.State == string(kb.StateHuman):
			return kb.E(kb.Conflict, nil, "handoff %s was accepted by another agent", id).With("state", t.State).With("agent", t.Agent)
		case t.State != string(kb.StateWaiting):
			return ended(t)
		}
		t.Agent = agent
		return moveTicket(c, &t, kb.NoteAccepted, text, now)
	})
	return t, err
}

// CloseHandoff gives a conversation back to the assistant. A closed one stays
// as it is.
func (s *Store) CloseHandoff(ctx context.Context, id string, text kb.NoteText, now time.Time) (t kb.Ticket, err error) {
	err = s.commit(ctx, func(c *tenant.Conn) (err error) {
		if t, err = ticket(c, id); err != nil || t.State == kb.TicketClosed {
			return err
		}
		return moveTicket(c, &t, kb.NoteClosed, text, now)
	})
	return t, err
}

func ended(t kb.Ticket) error {
	return kb.E(kb.Conflict, nil, "handoff %s has ended (%s)", t.ID, t.Reason).With("state", t.State).With("reason", t.Reason)
}

// moveTicket makes one change of state with its one note.
func moveTicket(c *tenant.Conn, t *kb.Ticket, kind kb.NoteKind, text kb.NoteText, now time.Time) error {
	state := kind.State()
	t.State, t.Reason, t.UpdatedAt = string(state), string(kind), now.UTC()
	if state == kb.StateAI {
		t.State = kb.TicketClosed
	}
	err := c.Exec(`UPDATE handoffs SET state = ?, reason = ?, agent = ?, updated_at = ? WHERE id = ?`, t.State, t.Reason, t.Agent, now, t.ID)
	if err != nil {
		return err
	}
	if err := c.Exec(`UPDATE sessions SET state = ?, state_at = ? WHERE owner = ? AND id = ?`, state, now, t.Owner, t.Session); err != nil {
		return err
	}
	return addNote(c, t.Owner, t.Session, kb.Note{
		Handoff: t.ID, Kind: kind, Agent: t.Agent, Text: text(kind, t.Lang, t.Agent), CreatedAt: now,
	})
}

// ReplyHandoff says something to the customer of an accepted handoff.
func (s *Store) ReplyHandoff(ctx context.Context, id, text string, now time.Time) (n kb.Note, err error) {
	err = s.commit(ctx, func(c *tenant.Conn) error {
		t, err := ticket(c, id)
		switch {
		case err != nil:
			return err
		case t.State == string(kb.StateWaiting):
			return kb.E(kb.Conflict, nil, "handoff %s is waiting; accept it first", id).With("state", t.State)
		case t.State != string(kb.StateHuman):
			return ended(t)
		}
		n = kb.Note{Handoff: id, Kind: kb.NoteReply, Agent: t.Agent, Text: text, CreatedAt: now.UTC()}
		if err := addNote(c, t.Owner, t.Session, n); err != nil {
			return err
		}
		n.Seq = c.LastInsertID()
		return c.Exec(`UPDATE handoffs SET updated_at = ? WHERE id = ?`, now, id)
	})
	return n, err
}

// ExpireHandoffs ends those nobody accepted that began before cutoff. Without
// any it commits nothing.
func (s *Store) ExpireHandoffs(ctx context.Context, cutoff time.Time, text kb.NoteText, now time.Time) error {
	due := false
	err := s.h.Read(ctx, func(c *tenant.Conn) error {
		due = false
		return c.Query(func(*tenant.Row) error { due = true; return tenant.ErrStop },
			`SELECT 1 FROM handoffs WHERE state = 'waiting' AND created_at < ? LIMIT 1`, cutoff)
	})
	if err != nil || !due {
		return err
	}
	const most = 100 // in one commit; the next call has the others
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		var ts []kb.Ticket
		err := c.Query(func(r *tenant.Row) error { ts = append(ts, scanTicket(r)); return nil },
			`SELECT `+ticketColumns+` FROM handoffs WHERE state = 'waiting' AND created_at < ? ORDER BY created_at LIMIT ?`, cutoff, most)
		if err != nil {
			return err
		}
		for i := range ts {
			if err := moveTicket(c, &ts[i], kb.NoteTimeout, text, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// Follow returns a session's state and what happened in its handoffs after
// note number after, oldest first; with after < 0 since the latest handoff
// began. from is the number it looked from. kb.NotFound as Session.
func (s *Store) Follow(ctx context.Context, id kb.SessionID, owner string, after int64) (state kb.SessionState, notes []kb.Note, from int64, err error) {
	const most = 200 // at once
	found := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		state, notes, found, from = "", nil, false, after
		err := c.Query(func(r *tenant.Row) error { found, state = true, kb.SessionState(r.Text(0)); return nil },
			`SELECT state FROM sessions WHERE owner = ? AND id = ?`, owner, id)
		if err != nil || !found {
			return err
		}
		if after < 0 {
			err := c.Query(func(r *tenant.Row) error { from = r.Int64(0); return nil },
				`SELECT coalesce(max(seq), 0) FROM notes WHERE owner = ? AND session = ? AND kind = 'requested'`, owner, id)
			if err != nil {
				return err
			}
		}
		return c.Query(func(r *tenant.Row) error {
			notes = append(notes, scanNote(r))
			return nil
		}, `SELECT `+noteColumns+` FROM notes WHERE owner = ? AND session = ? AND seq > ? ORDER BY seq LIMIT ?`, owner, id, from, most)
	})
	if err != nil {
		return "", nil, 0, fmt.Errorf("follow session: %w", err)
	}
	if !found {
		return "", nil, 0, kb.E(kb.NotFound, nil, "no session %q", id)
	}
	return state, notes, from, nil
}
