// Package parser has the names of gonja's parsing that eino uses.
package parser

import "github.com/nikolalohinski/gonja/nodes"

// Parser reads a template.
type Parser struct{}

// Statement parses one statement.
type Statement = func(parser, args *Parser) (nodes.Statement, error)
