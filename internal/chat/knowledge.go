package chat

import (
	"context"
	"fmt"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// fromKnowledge answers from the knowledge base, or says that it does not hold
// the answer.
func (a *answer) fromKnowledge(ctx context.Context) error {
	a.turn.Route = kb.Knowledge
	if err := a.emit(kb.Event{Type: kb.EventStage, Stage: "retrieve", Route: kb.Knowledge}); err != nil {
		return err
	}
	found, err := a.find(ctx)
	if err != nil {
		return err
	}
	a.turn.Metadata.Degraded = found.Degraded
	if found.Abstain || len(found.Quotes) == 0 {
		a.turn.Metadata.Abstained = true
		a.turn.Metadata.Offer = kb.Handoff
		return a.say(textsOf(a.turn.Lang).unknown)
	}
	a.turn.Metadata.Quoted = true
	for _, q := range found.Quotes {
		a.turn.Sources = append(a.turn.Sources, cite(found.Passages[q.Passage], q))
	}
	if err := a.emit(kb.Event{Type: kb.EventSources, Sources: a.turn.Sources}); err != nil {
		return err
	}
	return a.quote()
}

// find retrieves for the question, folded into the one before if it refers to
// it. A question that is merely short is tried alone first.
func (a *answer) find(ctx context.Context) (kb.Found, error) {
	topic := a.topic()
	how := refersBack(a.turn.Query)
	if topic == "" || how == standsAlone {
		return a.retrieve(ctx, a.turn.Query)
	}
	folded := topic + " " + a.turn.Query
	if how == mayRefer {
		alone, err := a.retrieve(ctx, a.turn.Query)
		if err != nil || !alone.Abstain {
			return alone, err
		}
	}
	a.turn.Condensed = folded
	return a.retrieve(ctx, folded)
}

func (a *answer) retrieve(ctx context.Context, question string) (kb.Found, error) {
	found, err := a.tenant.Retriever.Retrieve(ctx, question, a.engine.cfg.TopK)
	if err != nil {
		return found, fmt.Errorf("retrieve: %w", err)
	}
	return found, nil
}

// topic is the question the conversation was last about.
func (a *answer) topic() string {
	for i := len(a.history) - 1; i >= 0; i-- {
		if a.history[i].Route == kb.Knowledge {
			return a.history[i].Condensed
		}
	}
	return ""
}

// cite makes a citation of a quote. Content is cut from the passage itself:
// nobody else writes it.
func cite(p kb.Passage, q kb.Quote) kb.Citation {
	return kb.Citation{
		Content: p.Text[q.Start-p.Start : q.End-p.Start],
		Score:   q.Score,
		Metadata: kb.CitationMetadata{
			Document: p.Document, Title: p.Title, Heading: p.Heading, Version: p.Version, Start: q.Start, End: q.End, Chunk: p.ID,
		},
	}
}

// quote answers with the cited sentences themselves.
func (a *answer) quote() error {
	if err := a.emit(kb.Event{Type: kb.EventStage, Stage: "answer", Route: kb.Knowledge}); err != nil {
		return err
	}
	for i, s := range a.turn.Sources {
		sep := ""
		if i > 0 {
			sep = "\n\n"
		}
		if err := a.say(fmt.Sprintf("%s%s [%d]", sep, strings.TrimSpace(s.Content), i+1)); err != nil {
			return err
		}
	}
	return nil
}
