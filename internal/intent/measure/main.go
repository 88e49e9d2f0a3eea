// Command measure tells how well intents are told apart, on the sets in a
// folder:
//
//	go run ./internal/intent/measure DATA
//
// For DATA/intents it trains on the training part of each set and judges the
// test part, with the learner that made the shipped weights. The questions of
// every other set, and the titles and headings of folders of documents, go
// through the whole assistant without a model: they are questions, so any
// route but knowledge is wrong. -misses prints those.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/eino-qa/eino-qa/internal/chat"
	"github.com/eino-qa/eino-qa/internal/intent"
	"github.com/eino-qa/eino-qa/internal/kb"
)

func main() {
	misses := flag.Bool("misses", false, "print the questions that were taken for something else")
	flag.Parse()
	for _, dir := range flag.Args() {
		if err := measure(os.Stdout, dir, *misses); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func measure(out io.Writer, dir string, misses bool) error {
	for _, s := range labelled {
		train, err := s.read(dir, s.train)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		test, err := s.read(dir, s.test)
		if err != nil {
			return err
		}
		m, err := intent.TrainUncalibrated(train, intent.Options{})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s intents %d accuracy %.4f\n", s.name, len(m.Classes), m.Accuracy(test))
	}
	sets, err := questions(dir)
	if err != nil {
		return err
	}
	engine := chat.New(chat.Config{}, nil, slog.New(slog.DiscardHandler))
	for _, s := range sets {
		count := map[kb.Route]int{}
		for _, q := range s.questions {
			r, err := route(engine, q)
			if err != nil {
				return fmt.Errorf("%s: %q: %w", s.name, q, err)
			}
			if count[r]++; misses && r != kb.Knowledge {
				fmt.Fprintf(out, "\t%s\t%s\n", r, q)
			}
		}
		n := float64(len(s.questions))
		fmt.Fprintf(out, "%s questions %d knowledge %.4f handoff %.4f order %.4f direct %.4f\n", s.name, len(s.questions),
			float64(count[kb.Knowledge])/n, float64(count[kb.Handoff])/n, float64(count[kb.Order])/n, float64(count[kb.Direct])/n)
	}
	return nil
}

// route asks a question as the first of a conversation and returns where it went.
func route(e *chat.Engine, question string) (r kb.Route, err error) {
	c := e.For(chat.Tenant{Memory: nothing{}, Retriever: nothing{}, Orders: nothing{}})
	for ev, err := range c.Answer(context.Background(), kb.Question{Query: question}) {
		if err != nil {
			return "", err
		}
		if ev.Route != "" {
			r = ev.Route
		}
	}
	return r, nil
}

// nothing is a tenant without conversations, documents and orders.
type nothing struct{}

func (nothing) Session(context.Context, kb.SessionID, string, int) (kb.Session, []kb.Turn, error) {
	return kb.Session{}, nil, kb.E(kb.NotFound, nil, "no session")
}

func (nothing) SaveTurn(context.Context, kb.Turn, string, kb.SessionState, kb.SessionState, string) error {
	return nil
}

func (nothing) Retrieve(context.Context, string, int) (kb.Found, error) {
	return kb.Found{Abstain: true}, nil
}

func (nothing) Order(context.Context, string) (kb.ShopOrder, error) {
	return kb.ShopOrder{}, kb.E(kb.NotFound, nil, "no order")
}

func (nothing) OrdersOf(context.Context, string, int) ([]kb.ShopOrder, error) { return nil, nil }

func (nothing) ProveOrder(context.Context, kb.OrderClaim) (kb.ShopOrder, kb.Proof, error) {
	return kb.ShopOrder{}, kb.Refused, nil
}
