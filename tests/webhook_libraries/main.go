// Package main names the library, so that it is downloaded with the checksums of go.sum.
package main

import _ "github.com/standard-webhooks/standard-webhooks/libraries/go"

func main() {}
