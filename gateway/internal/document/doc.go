// Package document reads files of configuration, YAML or JSON, so that every message can name the file and
// the line, and the word that was meant. What it reads is bounded: in bytes, in depth, and in the values
// that aliases unfold to.
package document
