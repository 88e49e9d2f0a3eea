package chat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// retrieve finds passages for the question.
func (a *answer) retrieve(ctx context.Context) (err error) {
	a.turn.Route = kb.Knowledge
	if err := a.stage("retrieve"); err != nil {
		return err
	}
	a.found, err = a.find(ctx)
	a.degrade(a.found.Degraded...)
	if err == nil {
		a.strange = a.asksForWhatIsNot()
		a.anchor()
	}
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
	return a.found.Abstain || len(a.found.Quotes) == 0 || a.strange || a.found.Answerable < a.engine.cfg.ScoreThreshold
}

// asksForWhatIsNot reports a code or a model number in the question (E03,
// XM-300) that no passage has: what they say is about others.
func (a *answer) asksForWhatIsNot() bool {
	return slices.ContainsFunc(identifier.FindAllString(a.turn.Query, -1), func(code string) bool {
		return !a.foundHas(code)
	})
}

// foundHas reports whether a passage has the code. Most texts do not have even
// its characters, and are not read for literals.
func (a *answer) foundHas(code string) bool {
	bare := squeeze(trimmed(lexical.Fold(code)))
	for _, p := range a.found.Passages {
		for _, t := range [...]string{p.Title, p.Heading, p.Prefix, p.Text} {
			if strings.Contains(squeeze(lexical.Fold(t)), bare) && newValues(t).has(code) {
				return true
			}
		}
	}
	return false
}

// identifier is a word of letters and digits.
var identifier = lazily(`[A-Za-z]+[-_]?[0-9][A-Za-z0-9_-]*`)

// abstain says that the knowledge base does not hold the answer, and offers a
// human.
func (a *answer) abstain() error {
	a.misses(kb.MissNotFound)
	return a.say(textsOf(a.turn.Lang).unknown)
}

// misses notes that the question gets no answer, and offers a human. What is
// refused says nothing about the knowledge base.
func (a *answer) misses(why kb.Miss) {
	a.turn.Metadata.Missed, a.turn.Metadata.Abstained, a.turn.Metadata.Offer = why, why == kb.MissNotFound, kb.Handoff
}

// touched is the least share of a question's words that what may be related has.
const touched = 0.4

// touches reports whether the passages quoted are about what is asked.
func (a *answer) touches() bool {
	st := newStatement(a.turn.Condensed)
	for _, q := range a.found.Quotes {
		p := a.found.Passages[q.Passage]
		if st.coverage(p.Title, p.Heading, p.Prefix, p.Text) >= touched {
			return true
		}
	}
	return false
}

// related is the least confidence of quotes that are worth showing beside "I
// do not know". Of ten questions about real product documentation one lies
// between it and the threshold of an answer, with the right passage among them.
const related = 0.08

// abstainWithQuotes says that the knowledge base does not answer this, and
// shows what may be related, if anything may.
func (a *answer) abstainWithQuotes() error {
	if len(a.found.Quotes) == 0 || a.found.Answerable < related || a.strange || !a.touches() {
		return a.abstain()
	}
	a.misses(kb.MissNotFound)
	a.turn.Metadata.Quoted = true
	if err := a.say(textsOf(a.turn.Lang).related + "\n\n"); err != nil {
		return err
	}
	return a.quote()
}

// find retrieves for the question, folded into the one before if it refers to
// it. A question that is merely short is tried alone first.
func (a *answer) find(ctx context.Context) (kb.Found, error) {
	if a.turn.Condensed != a.asks { // a model folded it
		return a.search(ctx, a.turn.Condensed)
	}
	topic := bounded(a.topic())
	if topic == "" {
		return a.search(ctx, a.turn.Condensed)
	}
	if turn := turnsTo.FindString(a.asks); len(turn) < len(a.asks) {
		a.turn.Condensed = a.asks[len(turn):]
	}
	query := a.turn.Condensed
	how := refersBack(query)
	if how == standsAlone {
		return a.search(ctx, query)
	}
	folded := withoutCodes(topic, query) + "\n" + query
	if how == mayRefer {
		alone, err := a.search(ctx, query)
		if err != nil || !alone.Abstain {
			return alone, err
		}
	}
	both, err := a.searchFolded(ctx, folded, how)
	if err != nil || !both.Abstain {
		return both, err
	}
	before := a.turn.Condensed
	// "那价格呢" after "音箱保修多久" asks for nothing about the warranty.
	if thing := a.thing(topic); thing != "" && thing != topic {
		about, err := a.searchFolded(ctx, thing+"\n"+query, how)
		if err != nil || !about.Abstain {
			return about, err
		}
	}
	// "那能开发票吗" after that asks for nothing about the speaker.
	if how == refers && newStatement(query).named() >= ownTopic {
		alone, err := a.search(ctx, query)
		if err != nil || !alone.Abstain && headed(alone, query) {
			return alone, err
		}
	}
	a.turn.Condensed = before
	return both, nil
}

// ownTopic is how many words and pairs of Han characters a question has at
// least that brings a topic of its own: 那价格呢 has one, 那能开发票吗 three.
const ownTopic = 3

// headed reports whether what was found stands under a title or a heading with
// a word of the question: it is what the question is about, and no aside.
func headed(found kb.Found, query string) bool {
	if len(found.Quotes) == 0 {
		return false
	}
	p := found.Passages[found.Quotes[0].Passage]
	return newStatement(query).names(p.Title, p.Heading)
}

// topicBytes bounds what a follow-up is searched for beside itself: a search
// reads the first 6,000 bytes, and the question comes last.
const topicBytes = 2000

// bounded is a topic without the oldest follow-ups that it is too long with. The
// question that they followed stays, or its beginning.
func bounded(topic string) string {
	first, rest, _ := strings.Cut(topic, "\n")
	first = cut(first, topicBytes/2)
	for len(first)+len(rest) > topicBytes {
		_, younger, more := strings.Cut(rest, "\n")
		if !more {
			rest = cut(rest, topicBytes/2)
			break
		}
		rest = younger
	}
	if rest == "" {
		return first
	}
	return first + "\n" + rest
}

// cut is at most n bytes of s, whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// withoutCodes is the topic of a follow-up; where that names a code of its own,
// the topic's are not what it is about: E01 是什么意思, then 那 E05 呢.
func withoutCodes(topic, query string) string {
	if !identifier.MatchString(query) {
		return topic
	}
	for _, code := range identifier.FindAllString(topic, -1) {
		topic = strings.Replace(topic, code, "", 1)
	}
	return strings.TrimSpace(topic)
}

// searchFolded retrieves for a question folded into what it refers to, and
// abstains where nothing of what was found is about the new part.
func (a *answer) searchFolded(ctx context.Context, folded string, how reference) (kb.Found, error) {
	found, err := a.search(ctx, folded)
	if err != nil {
		return found, err
	}
	if !a.saysAnythingNew(found, how) {
		found.Abstain = true
		return found, nil
	}
	a.turn.Condensed = folded
	return found, nil
}

// thing is what the last answer was about, as the topic calls it: the longest
// piece of the topic that stands in the titles and headings of what was quoted,
// or else in the quotes. Only for Han, which has no blanks between its words.
func (a *answer) thing(topic string) string {
	if languageOf(topic) != kb.Zh {
		return ""
	}
	var names, texts strings.Builder
	for _, s := range a.history[len(a.history)-1].Sources {
		names.WriteString(s.Metadata.Title + "\n" + s.Metadata.Heading + "\n")
		texts.WriteString(s.Content + "\n")
	}
	if t := longestCommon(topic, names.String()); t != "" {
		return t
	}
	return longestCommon(topic, texts.String())
}

// longestCommon is the longest piece of a, of at least two characters, that b
// has; "" if there is none.
func longestCommon(a, b string) string {
	rs, best := []rune(strings.ToLower(a)), []rune(nil)
	b = strings.ToLower(b)
	for i := range rs {
		for n := max(2, len(best)+1); i+n <= len(rs) && strings.Contains(b, string(rs[i:i+n])); n++ {
			best = rs[i : i+n]
		}
	}
	return strings.TrimSpace(string(best))
}

// saysAnythingNew reports whether what was found for the folded question is
// about the new part of it: the topic alone would be answered as before.
func (a *answer) saysAnythingNew(found kb.Found, how reference) bool {
	if len(found.Quotes) == 0 {
		return true // abstained already
	}
	// A sentence that was not shown yet is news; after an answer without any,
	// every sentence would be.
	if found.Fits || how == refers && len(a.history[len(a.history)-1].Sources) > 0 && !a.quotedBefore(found) {
		return true
	}
	st := newStatement(a.asks)
	for _, q := range found.Quotes {
		p := found.Passages[q.Passage]
		if q.Score >= found.Quotes[0].Score/2 && st.names(p.Heading, p.Prefix, p.Text) {
			return true
		}
	}
	return st.wordless()
}

// quotedBefore reports whether the best quote is one of the last answer's.
func (a *answer) quotedBefore(found kb.Found) bool {
	best := cite(found.Passages[found.Quotes[0].Passage], found.Quotes[0]).Metadata
	for _, s := range a.history[len(a.history)-1].Sources {
		if s.Metadata.Chunk == best.Chunk && s.Metadata.Start == best.Start {
			return true
		}
	}
	return false
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
	for _, v := range slices.Backward(a.history) {
		if v.Route == kb.Knowledge {
			return v.Condensed
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
	if err := a.show(); err != nil {
		return err
	}
	if err := a.stage("answer"); err != nil {
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
