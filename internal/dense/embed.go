package dense

import (
	"context"
	"fmt"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/vector"
)

// outcome is what became of one text: a vector, refused, or nothing yet.
type outcome struct {
	vec     []float32
	refused bool
}

// embedTexts embeds texts. A call that fails is told apart: texts that the
// model refuses are found by halving, a model that is down ends it. What was
// made before an error is in the outcomes.
func (p *pass) embedTexts(ctx context.Context, texts []string) ([]outcome, error) {
	out := make([]outcome, len(texts))
	if len(texts) == 0 {
		return out, nil
	}
	return out, p.embedRange(ctx, texts, out)
}

func (p *pass) embedRange(ctx context.Context, texts []string, out []outcome) error {
	vs, spent, err := p.x.embed.Embed(ctx, texts, true)
	p.spent = p.spent.Add(spent)
	if err == nil {
		return p.place(vs, out)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ours := textsFault(err)
	if !ours && !p.works(ctx, err) {
		return fmt.Errorf("embed: %w", err)
	}
	if len(texts) > 1 {
		half := len(texts) / 2
		if err := p.embedRange(ctx, texts[:half], out[:half]); err != nil {
			return err
		}
		return p.embedRange(ctx, texts[half:], out[half:])
	}
	if ours {
		out[0].refused = true
		p.rep.Refused++
		p.x.cfg.Log.WarnContext(ctx, "the embedding model refuses a chunk: it is found by its words only", "error", err)
		return nil
	}
	p.left = fmt.Errorf("embed: %w", err)
	if p.nLeft++; p.nLeft > mostLeft {
		return p.left
	}
	return nil
}

// place checks and takes over the vectors of a call.
func (p *pass) place(vs [][]float32, out []outcome) error {
	if len(vs) != len(out) {
		return fmt.Errorf("%d vectors for %d texts", len(vs), len(out))
	}
	for i, v := range vs {
		if len(v) != p.dims {
			return errDims(len(v), p.dims)
		}
		out[i].vec = v
	}
	p.rep.Embedded += len(vs)
	return nil
}

// textsFault reports whether an error is about the texts of a call.
func textsFault(err error) bool {
	k := kb.KindOf(err)
	return k == kb.Invalid || k == kb.TooLarge || k == kb.Unprocessable
}

// works asks the model for a harmless text: if it can do that, the texts of
// the call that failed are what it stumbled over. One that says "too often" is
// not asked.
func (p *pass) works(ctx context.Context, err error) bool {
	if kb.KindOf(err) == kb.RateLimited {
		return false
	}
	_, spent, err := p.x.embed.Embed(ctx, []string{probeText}, true)
	p.spent = p.spent.Add(spent)
	return err == nil
}

func perBlock(dims int) int { return vector.PerBlock(dims) }

// encode makes the blocks of a piece: one of its vectors, or several where
// texts between were refused or have to be tried again. settled is how many
// chunks the blocks are of.
func encode(s kb.Span, of func(kb.ChunkID) outcome) (blocks []kb.VectorBlock, settled int, err error) {
	for first := s.First; first <= s.Last; {
		o := of(first)
		last := first
		var vs [][]float32
		for ; last <= s.Last; last++ {
			next := of(last)
			if (next.vec == nil) != (o.vec == nil) || next.refused != o.refused {
				break
			}
			vs = append(vs, next.vec)
		}
		b := kb.VectorBlock{First: first, Last: last - 1}
		first = last
		switch {
		case o.vec != nil:
			if b.Data, err = vector.Encode(vs); err != nil {
				return nil, 0, err
			}
		case !o.refused:
			continue
		}
		blocks = append(blocks, b)
		settled += int(b.Last-b.First) + 1
	}
	return blocks, settled, nil
}
