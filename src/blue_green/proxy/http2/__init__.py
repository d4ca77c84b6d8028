"""HTTP/2 connections: many requests at a time, each of which is a client of its own."""
