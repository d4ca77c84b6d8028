"""The proxy, asked with raw bytes, before a backend that records every byte.

Many tests have a number in their name. Requests are numbered 1 to 32 and answers 41 to 52: framing
first, then syntax, targets, versions, folds and characters, sizes, methods, upgrades, fields,
trailers, times and the end. A few cases are in other files than their neighbours: 19 in
`test_tunnels`, 24 in `test_forwarded`, 27 and 28 in `test_timeouts`, 52 in `test_streaming`.
"""
