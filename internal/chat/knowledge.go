package chat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// retrieve finds passages for the question.
func (a *answer) retrieve(ctx context.Context) (err error) {
	a.turn.Route = kb.Knowledge
	if err := a.emit(kb.Event{Type: kb.EventStage, Stage: "retrieve", Route: kb.Knowledge}); err != nil {
		return err
	}
	a.found, err = a.find(ctx)
	a.degrade(a.found.Degraded...)
	return err
}

// degrade notes degraded modes in the answer, each once.
func (a *answer) degrade(modes ...string) {
	for _, m := range modes {
		if !slices.Contains(a.turn.Metadata.Degraded, m) {
			a.turn.Metadata.Degraded = append(a.turn.Metadata.Degraded, m)
		}
	}
}

// abstains reports whether the knowledge base does not hold the answer, as far
// as retrieval alone can tell.
func (a *answer) abstains() bool {
	return a.found.Abstain || len(a.found.Quotes) == 0 || a.found.Answerable < a.engine.cfg.ScoreThreshold
}

// abstain says that the knowledge base does not hold the answer, and offers a
// human.
func (a *answer) abstain() error {
	a.turn.Metadata.Abstained = true
	a.turn.Metadata.Offer = kb.Handoff
	return a.say(textsOf(a.turn.Lang).unknown)
}

// find retrieves for the question, folded into the one before if it refers to
// it. A question that is merely short is tried alone first.
func (a *answer) find(ctx context.Context) (kb.Found, error) {
	if a.turn.Condensed != a.turn.Query { // a model folded it
		return a.search(ctx, a.turn.Condensed)
	}
	topic := a.topic()
	how := refersBack(a.turn.Query)
	if topic == "" || how == standsAlone {
		return a.search(ctx, a.turn.Query)
	}
	folded := topic + " " + a.turn.Query
	if how == mayRefer {
		alone, err := a.search(ctx, a.turn.Query)
		if err != nil || !alone.Abstain {
			return alone, err
		}
	}
	a.turn.Condensed = folded
	return a.search(ctx, folded)
}

func (a *answer) search(ctx context.Context, question string) (kb.Found, error) {
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
	a.turn.Metadata.Quoted = true
	for _, q := range a.found.Quotes {
		a.turn.Sources = append(a.turn.Sources, cite(a.found.Passages[q.Passage], q))
	}
	if err := a.emit(kb.Event{Type: kb.EventSources, Sources: a.turn.Sources}); err != nil {
		return err
	}
	if err := a.emit(kb.Event{Type: kb.EventStage, Stage: "answer", Route: kb.Knowledge}); err != nil {
		return err
	}
	for i, s := range a.turn.Sources {
		if err := a.say(quoteLine(i, s)); err != nil {
			return err
		}
	}
	return nil
}

// quoteLine is one quoted sentence with its number.
func quoteLine(i int, c kb.Citation) string {
	sep := ""
	if i > 0 {
		sep = "\n\n"
	}
	return fmt.Sprintf("%s%s [%d]", sep, strings.TrimSpace(c.Content), i+1)
}
