package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/aside"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
)

// runnable is the compiled graph: an answer goes in; what comes out is the
// stream of a model that writes it, or nothing when a node has said it all.
type runnable = compose.Runnable[*answer, *schema.Message]

// Nodes of the graph, named by what they do.
const (
	nodeUnderstand = "understand"
	nodeDirect     = "direct"
	nodeHandoff    = "handoff"
	nodeOrder      = "order"
	nodeRetrieve   = "retrieve"
	nodeQuote      = "quote"
	nodeAbstain    = "abstain"
	nodePrompt     = "prompt"
	nodeModel      = "model"
)

// compile builds the graph, once per process:
//
//	understand ─┬─ direct ───────────────────────────▶ end
//	            ├─ handoff ──────────────────────────▶ end
//	            ├─ order ────────────────────────────▶ end
//	            └─ retrieve ─┬─ abstain ─────────────▶ end
//	                         ├─ quote ───────────────▶ end
//	                         └─ prompt ── model ─────▶ end, as a stream
func (e *Engine) compile() (runnable, error) {
	g := compose.NewGraph[*answer, *schema.Message]()
	b := builder{g: g}
	b.lambda(nodeUnderstand, compose.InvokableLambda(step((*answer).understand)))
	b.lambda(nodeRetrieve, compose.InvokableLambda(step((*answer).retrieve)))
	b.lambda(nodeDirect, compose.InvokableLambda(last((*answer).direct)))
	b.lambda(nodeHandoff, compose.InvokableLambda(last((*answer).handOff)))
	b.lambda(nodeOrder, compose.InvokableLambda(func(ctx context.Context, a *answer) (*schema.Message, error) {
		return schema.AssistantMessage("", nil), a.order(ctx)
	}))
	b.lambda(nodeQuote, compose.InvokableLambda(last((*answer).quote)))
	b.lambda(nodeAbstain, compose.InvokableLambda(last((*answer).abstainWithQuotes)))
	b.edge(compose.START, nodeUnderstand)
	b.branch(nodeUnderstand, map[string]bool{nodeDirect: true, nodeHandoff: true, nodeOrder: true, nodeRetrieve: true}, func(a *answer) string {
		switch a.intent.route {
		case kb.Direct:
			return nodeDirect
		case kb.Handoff:
			return nodeHandoff
		case kb.Order:
			return nodeOrder
		}
		return nodeRetrieve
	})
	writers := map[string]bool{nodeQuote: true, nodeAbstain: true}
	if e.models != nil {
		writers[nodePrompt] = true
		b.lambda(nodePrompt, compose.InvokableLambda(func(_ context.Context, a *answer) ([]*schema.Message, error) { return a.prompt(), nil }))
		b.add(g.AddChatModelNode(nodeModel, e.models.Chat()))
		b.edge(nodePrompt, nodeModel)
		b.edge(nodeModel, compose.END)
	}
	b.branch(nodeRetrieve, writers, (*answer).writer)
	for _, n := range []string{nodeDirect, nodeHandoff, nodeOrder, nodeQuote, nodeAbstain} {
		b.edge(n, compose.END)
	}
	if b.err != nil {
		return nil, fmt.Errorf("build answer graph: %w", b.err)
	}
	return g.Compile(context.Background(), compose.WithGraphName("answer"))
}

// builder collects the errors of building a graph.
type builder struct {
	g   *compose.Graph[*answer, *schema.Message]
	err error
}

func (b *builder) add(err error)                         { b.err = errors.Join(b.err, err) }
func (b *builder) lambda(name string, l *compose.Lambda) { b.add(b.g.AddLambdaNode(name, l)) }
func (b *builder) edge(from, to string)                  { b.add(b.g.AddEdge(from, to)) }
func (b *builder) branch(from string, to map[string]bool, choose func(*answer) string) {
	b.add(b.g.AddBranch(from, compose.NewGraphBranch(func(_ context.Context, a *answer) (string, error) { return choose(a), nil }, to)))
}

// step is a node that passes the answer on. Its events go out while the graph
// runs; the sequence's consumer waits for the graph meanwhile.
func step(f func(*answer, context.Context) error) func(context.Context, *answer) (*answer, error) {
	return func(ctx context.Context, a *answer) (*answer, error) { return a, f(a, ctx) }
}

// last is a node that says all there is to say.
func last(f func(*answer) error) func(context.Context, *answer) (*schema.Message, error) {
	return func(_ context.Context, a *answer) (*schema.Message, error) {
		return schema.AssistantMessage("", nil), f(a)
	}
}

// writer chooses who writes the answer to a question to the knowledge base.
// With a model the model decides whether the passages hold it; without, the
// calibrated confidence of retrieval does.
func (a *answer) writer() string {
	switch {
	case a.engine.models != nil && len(a.found.Passages) > 0:
		return nodePrompt
	case a.abstains():
		return nodeAbstain
	}
	return nodeQuote
}

// throughGraph runs the graph and reads the model's stream, if there is one. A
// model that fails leaves the answer to the quotes.
func (a *answer) throughGraph(ctx context.Context) error {
	graph, err := a.engine.graph()
	if err != nil {
		return err
	}
	var hold llm.Hold
	defer hold.End() // what was read of a stream is paid for, also of one that is left early
	stream, err := a.ask(ctx, graph, &hold)
	if err != nil {
		return a.withoutModel(ctx, err)
	}
	defer stream.Close()
	if a.writer() != nodePrompt || a.turn.Route != kb.Knowledge {
		return nil
	}
	return a.write(ctx, func() (string, error) {
		m, err := stream.Recv()
		if err != nil {
			return "", err
		}
		return m.Content, nil
	})
}

// ask runs the graph until there is a stream to read, aside from the stack that
// reads it.
func (a *answer) ask(ctx context.Context, graph runnable, hold *llm.Hold) (stream *schema.StreamReader[*schema.Message], err error) {
	emit := a.emit
	aside.Tell(emit, func(tell func(kb.Event) error) {
		aside.Deepen()
		a.emit = tell
		stream, err = graph.Stream(ctx, a, a.modelOptions(ctx, hold)...)
	})
	a.emit = emit
	return stream, err
}

// modelOptions are how this tenant's answer is written.
func (a *answer) modelOptions(ctx context.Context, hold *llm.Hold) []compose.Option {
	if a.engine.models == nil {
		return nil
	}
	opts := []model.Option{model.WithTemperature(greedy), model.WithMaxTokens(maxTokens), llm.WithTenant(a.tenant.ID), llm.WithUsage(a.spend), llm.WithHold(ctx, hold)}
	if a.tenant.Model != "" {
		opts = append(opts, model.WithModel(a.tenant.Model))
	}
	return []compose.Option{compose.WithChatModelOption(opts...).DesignateNode(nodeModel)}
}

// greedy makes answers repeatable; maxTokens is what maxAnswerBytes of Chinese
// are at most.
const (
	greedy    = 0.01
	maxTokens = 2048
)

// spend adds what a call took.
func (a *answer) spend(u llm.Usage) {
	a.spent.Lock()
	defer a.spent.Unlock()
	a.usage.Prompt += u.Prompt
	a.usage.Completion += u.Completion
	a.usage.CostMicro += u.CostMicro
	if u.Prompt+u.Completion > 0 {
		a.usage.Model = u.Model
	}
}

// Degraded modes of this package.
const (
	degradedModel         = "quotes"      // the model failed: quotes instead
	degradedUnderstanding = "rules"       // the model failed to read the message: rules instead
	degradedUnsupported   = "unsupported" // the model wrote what the passages do not say
)

// withoutModel goes on after err: when it was the model's, with quotes.
func (a *answer) withoutModel(ctx context.Context, err error) error {
	call, ours := errors.AsType[*llm.CallError](err)
	switch {
	case errors.Is(err, errStopped) || ctx.Err() != nil || !ours:
		return err
	case errors.Is(err, llm.ErrRefused):
		a.turn.Sources = []kb.Citation{}
		a.misses(kb.MissRefused)
		return a.replace(textsOf(a.turn.Lang).refused)
	}
	a.failed(ctx, call)
	a.degrade(degradedModel)
	return a.quotesInstead()
}

// quotesInstead answers with quotes, in place of what is out already.
func (a *answer) quotesInstead() error {
	before := a.turn.Answer != a.opening
	a.set(a.opening)
	a.turn.Sources = []kb.Citation{}
	if !before {
		if a.abstains() {
			return a.abstain()
		}
		return a.quote()
	}
	text := textsOf(a.turn.Lang).unknown
	if a.abstains() {
		a.misses(kb.MissNotFound)
	} else {
		a.turn.Metadata.Quoted = true
		text = ""
		for i, q := range a.found.Quotes {
			a.turn.Sources = append(a.turn.Sources, cite(a.found.Passages[q.Passage], q))
			text += quoteLine(i, a.turn.Sources[i])
		}
	}
	return a.replace(text)
}

// replace puts text in place of everything said so far.
func (a *answer) replace(text string) error {
	a.set(a.opening + text)
	if err := a.show(); err != nil {
		return err
	}
	return a.emit(kb.Event{Type: kb.EventReplace, Content: a.turn.Answer})
}

// write delivers what a model writes, checked, and mends it at the end.
func (a *answer) write(ctx context.Context, next func() (string, error)) error {
	if err := a.stage("answer"); err != nil {
		return err
	}
	a.turn.Metadata.Model = a.engine.models.ChatModel()
	if a.tenant.Model != "" {
		a.turn.Metadata.Model = a.tenant.Model
	}
	c := a.checker()
	for {
		text, err := next()
		if errors.Is(err, io.EOF) {
			c.close()
			break
		}
		if err != nil {
			return a.withoutModel(ctx, err)
		}
		if !c.write(text) {
			break
		}
	}
	if c.err != nil {
		return c.err
	}
	return a.conclude(c)
}

// asked is what the customer said, now and before: what a model made of it
// proves nothing.
func (a *answer) asked() string {
	var b strings.Builder
	b.WriteString(a.turn.Query)
	for _, t := range a.history {
		b.WriteString("\n" + t.Query)
	}
	return b.String()
}

// checker reads the answer to this question.
func (a *answer) checker() *checker {
	known := sync.OnceValue(func() (v *values) {
		texts := []string{a.asked()}
		for _, p := range a.found.Passages {
			texts = append(texts, p.Title, p.Heading, p.Prefix, p.Text)
		}
		aside.Do(func() { v = newValues(texts...) })
		return v
	})
	return &checker{passages: a.found.Passages, known: known, deliver: a.deliver}
}

// deliver sends a piece of the answer, and the sources when there is a new one.
func (a *answer) deliver(text string, sources []kb.Citation) error {
	if len(sources) > len(a.turn.Sources) {
		a.turn.Sources = append([]kb.Citation{}, sources...)
		if err := a.show(); err != nil {
			return err
		}
	}
	return a.say(text)
}

// show sends the sources as they are now.
//
//go:noinline
func (a *answer) show() error {
	return a.emit(kb.Event{Type: kb.EventSources, Sources: a.turn.Sources})
}

// conclude weighs the whole answer: what has no support goes.
func (a *answer) conclude(c *checker) error {
	switch {
	case c.verdict == verdictNone:
		return a.abstain()
	case len(c.sentences) == 0: // it said nothing at all
		a.degrade(degradedUnsupported)
		return a.quotesInstead()
	}
	c.attribute()
	if c.err != nil {
		return c.err
	}
	r := c.result(a.asked())
	ok := r.whole && len(r.sources) > 0
	a.turn.Metadata.Supported = &ok
	switch {
	case ok && r.says:
		return nil
	case !r.says || len(r.sources) == 0:
		a.degrade(degradedUnsupported)
		return a.quotesInstead()
	}
	a.turn.Sources = r.sources
	return a.replace(r.text)
}
