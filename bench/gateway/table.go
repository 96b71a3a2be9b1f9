package main

import (
	"fmt"
	"slices"
	"strings"
)

// tables are the results in Markdown: medians, with the least and the greatest in brackets.
func tables(rows []row, ws []workload) string {
	var b strings.Builder
	b.WriteString("Processor time of the gateway, µs per request:\n\n")
	table(&b, rows, ws, func(w *workload) bool { return w.rate == 0 }, "", func(r row) (float64, bool) { return r.CPUMicrosPerOp, r.CPUMicrosPerOp > 0 }, "%.1f")
	b.WriteString("\nRequests per second, where load and upstream share the machine:\n\n")
	table(&b, rows, ws, func(w *workload) bool { return w.rate == 0 }, "", func(r row) (float64, bool) { return r.PerSecond, true }, "%.0f")
	b.WriteString("\nAt a constant rate: 99th percentile, ms since a request was due; and µs of the gateway's processor time per request. " +
		"What a gateway adds is the difference to the last line.\n\n")
	table(&b, rows, ws, func(w *workload) bool { return w.rate > 0 }, "p99 ms, ", func(r row) (float64, bool) { return r.P99Ms, true }, "%.2f")
	b.WriteString("\n")
	table(&b, rows, ws, func(w *workload) bool { return w.rate > 0 }, "µs, ", func(r row) (float64, bool) { return r.CPUMicrosPerOp, r.CPUMicrosPerOp > 0 }, "%.1f")
	b.WriteString("\nResident memory after each, MiB:\n\n")
	table(&b, rows, ws, func(w *workload) bool { return w.rate == 0 }, "", func(r row) (float64, bool) { return r.RSSMB, r.RSSMB > 0 }, "%.0f")
	b.WriteString("\n| engine | version |\n|---|---|\n")
	for _, e := range engines {
		for _, r := range rows {
			if r.Peer == e.name && r.Version != "" {
				fmt.Fprintf(&b, "| %s | %s |\n", e.title, r.Version)
				break
			}
		}
	}
	return b.String()
}

// table writes a line for each engine, and a column for each workload.
func table(b *strings.Builder, rows []row, ws []workload, takes func(*workload) bool, prefix string, value func(row) (float64, bool), format string) {
	ws = slices.DeleteFunc(slices.Clone(ws), func(w workload) bool { return !takes(&w) })
	b.WriteString("| engine |")
	for _, w := range ws {
		b.WriteString(" " + prefix + w.title + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(ws)) + "\n")
	for _, e := range engines {
		line, any := "| "+e.title+" |", false
		for _, w := range ws {
			var values []float64
			for _, r := range rows {
				if v, ok := value(r); ok && r.Peer == e.name && r.Workload == w.name {
					values = append(values, v)
				}
			}
			if len(values) == 0 {
				line += " – |"
				continue
			}
			any = true
			slices.Sort(values)
			median := (values[(len(values)-1)/2] + values[len(values)/2]) / 2
			line += fmt.Sprintf(" "+format+" ("+format+"–"+format+") |", median, values[0], values[len(values)-1])
		}
		if any {
			b.WriteString(line + "\n")
		}
	}
}
