// Package deploy holds tests of what is deployed: template.yaml against
// CloudFormation's and SAM's own rules, s.yaml's events, the policies of both
// clouds, and the event samples under infra. It has no code of its own. The
// checkers come from PyPI into a virtual environment that the tests make; a
// machine without python3 fails them.
package deploy
