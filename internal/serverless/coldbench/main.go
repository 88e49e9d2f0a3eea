// Command coldbench measures cold starts of built functions: from spawning
// the binary to its complete first response (or first token), medians beside
// a bare function in the same run. It prints a table and exits 1 when a
// function is over its limit.
//
//	coldbench -n 21 -functions bin/bench
//	coldbench [-n 21] 'name=health&bin=bin/bench/health&on=rest&path=/health/live&max=2.5' …
//
// With -functions it measures the functions of that folder against the limits
// of issue 5, on a store that it fills first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

const barePackage = "github.com/eino-qa/eino-qa/internal/serverless/internal/bare"

func main() {
	// 21: an odd number, so that the median is one of the runs; issue 5 asks for 20.
	n := flag.Int("n", 21, "cold starts of each function")
	functions := flag.String("functions", "", "folder of the built functions")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *n, *functions, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "coldbench:", err)
		os.Exit(1)
	}
}

// row is one function's cold starts.
type row struct {
	target emulator.ColdTarget
	took   []time.Duration
	cpu    []time.Duration
	rss    []int64
}

func run(ctx context.Context, out io.Writer, n int, functions string, args []string) error {
	if n < 1 {
		return errors.New("-n: at least 1")
	}
	dir, err := os.MkdirTemp("", "coldbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bare := filepath.Join(dir, "bare")
	if err := emulator.Build(ctx, barePackage, bare); err != nil {
		return err
	}
	rows := []*row{
		{target: emulator.ColdTarget{Name: "bare (lambda)", Binary: bare, On: "rest", Path: "/"}},
		{target: emulator.ColdTarget{Name: "bare (web)", Binary: bare, On: "fc_web", Path: "/"}},
	}
	sleep := func() error { return nil }
	if functions != "" {
		db := filepath.Join(dir, "db")
		ts, err := standard(ctx, functions, db)
		if err != nil {
			return err
		}
		if sleep, err = asleep(db); err != nil {
			return err
		}
		for _, t := range ts {
			rows = append(rows, &row{target: t})
		}
	}
	for _, a := range args {
		t, err := emulator.ParseColdTarget(a)
		if err != nil {
			return err
		}
		rows = append(rows, &row{target: t})
	}
	// Round after round, so that a slow moment of the machine is everybody's;
	// round -1 fills the page cache.
	for round := -1; round < n; round++ {
		for _, r := range rows {
			if err := sleep(); err != nil {
				return err
			}
			res, err := r.target.Run(ctx)
			if err != nil {
				return err
			}
			if round >= 0 {
				r.took, r.cpu, r.rss = append(r.took, res.Took), append(r.cpu, res.CPU), append(r.rss, res.RSS)
			}
		}
	}
	return report(out, rows, n)
}

// report prints the table and returns an error if a row is over its limit.
func report(out io.Writer, rows []*row, n int) error {
	var over []error
	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	fmt.Fprintf(w, "function\tplatform\tmedian ms\tp90 ms\tx bare\tlimit\tCPU ms\tMB\tzip MB\tresident MB\t(%d cold starts)\n", n)
	for _, r := range rows {
		base := rows[0]
		if r.target.On == "fc_web" {
			base = rows[1]
		}
		median := quantile(r.took, 0.5)
		ratio := float64(median) / float64(quantile(base.took, 0.5))
		plain, zipped, err := emulator.ZipSize(r.target.Binary)
		if err != nil {
			return err
		}
		limit := "-"
		if r.target.Max > 0 {
			limit = fmt.Sprintf("%.1f", r.target.Max)
			if ratio > r.target.Max {
				limit += " OVER"
				over = append(over, fmt.Errorf("%s takes %.1f times as long as a bare function, limit %.1f", r.target.Name, ratio, r.target.Max))
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.2f\t%s\t%.1f\t%.2f\t%.2f\t%.1f\t\n", r.target.Name, r.target.On, ms(median), ms(quantile(r.took, 0.9)),
			ratio, limit, ms(quantile(r.cpu, 0.5)), float64(plain)/1e6, float64(zipped)/1e6, float64(quantile(r.rss, 0.5))/1e6)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return errors.Join(over...)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile returns the value below which a share of p of vs lies.
func quantile[T time.Duration | int64](vs []T, p float64) T {
	s := slices.Clone(vs)
	slices.Sort(s)
	return s[int(p*float64(len(s)-1)+0.5)]
}
