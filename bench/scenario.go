package main

import (
	"fmt"
	"slices"
	"strings"
)

// scenario is one kind of load. The zero value of a field means "as in
// plain".
type scenario struct {
	Name  string
	About string
	// Conns is the number of client connections; Body the size of the
	// response body, Upload of the request body, in bytes.
	Conns, Body, Upload int
	// Target is the request target, empty for the scenario's usual one.
	Target string
	// Headers are further request header fields.
	Headers []string
	// Routes is how many routes are configured besides the one that is asked
	// for, which comes last.
	Routes int
	// Features switches on what an API needs: the key of one of 1,000 consumers
	// is checked, the consumer's rate limited, the request counted.
	Features bool
	// Idle, when not 0, makes this a memory scenario: so many keep-alive
	// connections are opened, send one request each and fall silent.
	Idle int
	// Load, when not 0, makes this a latency scenario: an open loop at this
	// share of the rate that nginx reaches.
	Load float64
	// Changes, when not 0, makes this a storm: so many route changes a second.
	Changes int
}

// Path is the request target.
func (s scenario) Path() string {
	switch {
	case s.Target != "":
		return s.Target
	case s.Routes > 0:
		return "/service/last/item"
	}
	return "/bench"
}

const (
	defaultConns = 64
	defaultBody  = 1024
)

// browserHeaders are what a desktop browser sends with a page request, about
// 1.5 KiB with the cookies of a site that measures its visitors.
var browserHeaders = []string{
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8,fr;q=0.7",
	"Accept-Encoding: gzip, deflate, br, zstd",
	"Cache-Control: max-age=0",
	"Upgrade-Insecure-Requests: 1",
	`Sec-Ch-Ua: "Chromium";v="150", "Not/A)Brand";v="24", "Google Chrome";v="150"`,
	"Sec-Ch-Ua-Mobile: ?0",
	`Sec-Ch-Ua-Platform: "Linux"`,
	"Sec-Fetch-Dest: document",
	"Sec-Fetch-Mode: navigate",
	"Sec-Fetch-Site: same-origin",
	"Sec-Fetch-User: ?1",
	"Referer: https://shop.example.com/catalogue/garden/tools/hand-tools?page=3&sort=price-asc&available=true",
	"Cookie: session=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08; " +
		"visitor=1c0e5f2a-8f0d-4a53-9ad5-3f2b4d6c7e81; consent=necessary%2Cstatistics%2Cpreferences; " +
		"_stat=GA1.2.1837462910.1763987654; _stat_sess=GS2.1.s1763987654$o14$g1$t1763989001$j42$l0$h0; " +
		"basket=eyJpdGVtcyI6W3siaWQiOjg4MTIsIm4iOjJ9LHsiaWQiOjEwNDMsIm4iOjF9XX0; theme=dark; lang=en-GB; " +
		"experiment=checkout-b%3Aon%7Csearch-v4%3Aoff%7Crecommend%3Acontrol",
	"If-None-Match: \"5f3a-62c1d0a8e4b40\"",
	"Priority: u=0, i",
	"Dnt: 1",
}

// consumers is how many there are in a scenario with features.
const consumers = 1000

func consumerKey(i int) string { return fmt.Sprintf("key-%04d-3d5f8a1c9e7b", i) }

// scenarios is the table of what can be measured, in the order of the report.
var scenarios = []scenario{
	{Name: "plain", About: "1 KiB response, 64 connections"},
	{Name: "c8", About: "8 connections", Conns: 8},
	{Name: "c256", About: "256 connections", Conns: 256},
	{Name: "body128", About: "128 B response", Body: 128},
	{Name: "body16k", About: "16 KiB response", Body: 16 << 10},
	{Name: "browser", About: "1.5 KiB of request headers", Headers: browserHeaders},
	{Name: "routes10k", About: "the last of 10,000 routes", Routes: 10_000},
	{Name: "features", About: "key of one of 1,000 consumers, rate limit, metrics", Features: true,
		Headers: []string{"apikey: " + consumerKey(500)}},
	{Name: "down1m", About: "1 MiB response", Body: 1 << 20, Conns: 16},
	{Name: "up1m", About: "1 MiB request body", Upload: 1 << 20, Conns: 16},
	{Name: "latency", About: "latency at half of the rate that nginx reaches, counted from the due time", Load: 0.5},
	{Name: "storm", About: "latency while 500 of 50,000 routes change every second", Routes: 50_000, Changes: 500},
	{Name: "idle", About: "memory of 10,000 idle keep-alive connections", Idle: 10_000},
}

// choose resolves a comma-separated list of scenario names; "all" is every
// one, an empty list none.
func choose(list string) ([]scenario, error) {
	if list == "all" {
		list = strings.Join(names(), ",")
	}
	var out []scenario
	for name := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' }) {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario is called %q; there are: all, %s", name, strings.Join(names(), ", "))
		}
		s := scenarios[i]
		if s.Conns == 0 {
			s.Conns = defaultConns
		}
		if s.Body == 0 {
			s.Body = defaultBody
		}
		out = append(out, s)
	}
	return out, nil
}

func names() []string {
	var n []string
	for _, s := range scenarios {
		n = append(n, s.Name)
	}
	return n
}
