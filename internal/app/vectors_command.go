//go:build !function

package app

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/dense"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// vectorsUsage is what -h shows of the command.
const vectorsUsage = `vectors status [-tenant ID] | vectors rebuild [-tenant ID] [-embeddings]
        status shows how many chunks have vectors, which of them Milvus has been
        given, and asks it how many it holds;
        rebuild gives Milvus everything anew from the database, with -embeddings
        it also has the model make every vector anew, which is paid for again`

// vectorsCommand shows or rebuilds vectors, of one tenant or of all.
func vectorsCommand(ctx context.Context, a *App, args []string, out io.Writer) error {
	bad := func(msg string) error {
		return &config.UsageError{Msg: "vectors: " + msg + "\nusage: bin/server " + vectorsUsage}
	}
	if len(args) == 0 || args[0] != "status" && args[0] != "rebuild" {
		return bad("say status or rebuild")
	}
	rebuild := args[0] == "rebuild"
	set := flag.NewFlagSet("vectors", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	name := set.String("tenant", "", "")
	embeddings := false
	if rebuild {
		set.BoolVar(&embeddings, "embeddings", false, "")
	}
	if err := set.Parse(args[1:]); err != nil {
		return bad(err.Error())
	}
	if set.NArg() > 0 {
		return bad(fmt.Sprintf("%q is one word too many", set.Arg(0)))
	}
	if !a.vectors.on() {
		return errNoEmbedding()
	}
	ids, err := a.tenants.List(ctx)
	if *name != "" {
		var id kb.TenantID
		id, err = kb.ParseTenant(*name)
		ids = []kb.TenantID{id}
	}
	if err != nil {
		return err
	}
	dropped := *name != "" || !rebuild // the space is the tenants' together
	for _, id := range ids {
		t, err := a.Tenant(ctx, id, false)
		if kb.KindOf(err) == kb.NotFound && *name == "" {
			continue // deleted
		}
		if err != nil {
			return err
		}
		if !dropped {
			space, dims, err := t.vectors.indexer.Space(ctx)
			if err == nil {
				err = a.vectors.index.rebuild(ctx, space, dims)
			}
			if err != nil {
				return err
			}
			dropped = true
		}
		if rebuild {
			rep, err := t.vectors.indexer.Rebuild(ctx, embeddings)
			fmt.Fprintf(out, "%s  %s: %d chunks, %d vectors made, %d sent, %d missing\n", id, rep.Space, rep.Chunks, rep.Embedded, rep.Sent, rep.Missing)
			if err != nil {
				return fmt.Errorf("tenant %s: %w", id, err)
			}
			continue
		}
		if err := t.Store.Refresh(ctx); err != nil {
			return err
		}
		st, err := t.vectors.indexer.Status(ctx)
		if err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
		printVectors(out, id, st, func(s dense.SpaceStatus) (string, int, error) { return a.vectors.index.holds(ctx, id, s.Space, s.Dims) })
	}
	return nil
}

// printVectors shows what the database has, and beside it what Milvus itself
// says: its holds asks it.
func printVectors(out io.Writer, id kb.TenantID, st dense.Status, holds func(dense.SpaceStatus) (collection string, rows int, err error)) {
	fmt.Fprintf(out, "%s  %d chunks, model %s\n", id, st.Chunks, st.Model)
	for _, s := range st.Spaces {
		use := "kept for servers that still use it"
		if s.InUse {
			use = "in use"
		}
		fmt.Fprintf(out, "  %s: %d of %d chunks have vectors, in %d blocks; %s\n", s.Space, st.Chunks-s.Missing, st.Chunks, s.Blocks, use)
		if !st.Remote || !s.InUse {
			continue
		}
		fmt.Fprintf(out, "  milvus has %d of the %d blocks, %d vectors; batches: %d pending, %d abandoned\n", s.Outside, s.Blocks, s.Sent, s.Pending, s.Dropped)
		collection, rows, err := holds(s)
		if err != nil {
			fmt.Fprintf(out, "  milvus does not tell what it holds in %s: %v\n", collection, err)
			continue
		}
		fmt.Fprintf(out, "  milvus answers: %d rows of the tenant in %s", rows, collection)
		if rows < s.Sent {
			fmt.Fprint(out, "; some were lost: vectors rebuild sends them again, and a running server within an hour")
		}
		fmt.Fprintln(out)
	}
	if len(st.Spaces) == 0 && st.Chunks > 0 {
		fmt.Fprintln(out, "  no vectors yet: a running server makes them, or vectors rebuild")
	}
}

// vectorsOf makes the vectors of a tenant whose documents were just loaded. The
// documents are found by their words already, so a model that fails is told,
// and no error: a server makes up for it.
func (a *App) vectorsOf(ctx context.Context, id kb.TenantID, out io.Writer) error {
	if !a.vectors.on() {
		return nil
	}
	t, err := a.Tenant(ctx, id, false)
	if err != nil {
		return err
	}
	rep, err := t.vectors.indexer.Pass(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fmt.Fprintf(out, "%d of %d chunks have vectors\n", rep.Chunks-rep.Missing, rep.Chunks)
	if err != nil {
		fmt.Fprintf(out, "the rest is made by the server, or by vectors rebuild: %v\n", err)
	}
	return nil
}
